"""Kinds of servers, as models that honour some fields of a request, ignore others and refuse the rest.

A token is a word, so that what a limit or a schema does to a reply can be counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.judges.fault_server import Said, completion

__all__ = ["BROKEN_REPLIES", "KINDS_OF_SERVER", "LISTS", "SYSTEM_REFUSALS", "Kind", "Stubborn"]

Manner = Literal["honour", "ignore", "refuse", "break"]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a server takes each field. `refuse` is a 400 that names the field, `break` a 500 that names nothing."""

    json_schema: Manner = "honour"
    json_object: Manner = "honour"
    logprobs: Manner = "honour"
    temperature: Manner = "honour"
    max_tokens: Manner = "honour"
    max_completion_tokens: Manner = "honour"
    system: Manner = "honour"
    """A message of the system."""
    system_words: str = "System role not supported"
    decisions: Literal["honour", "constant", "none"] = "none"
    is_packed: bool = False
    n_thoughts: int = 0
    """Tokens that it thinks before it speaks, which a limit counts."""

    def __call__(self, path: str, body: dict[str, Any]) -> Said:
        if path == "/decisions" and self.decisions != "none":
            return self._decide(body)
        if path != "/chat/completions":
            return Said({"error": {"message": "Not Found"}}, status=404)
        kind = body.get("response_format", {}).get("type")
        fields = {"json_schema": kind == "json_schema", "json_object": kind == "json_object"}
        fields |= {name: name in body for name in ("logprobs", "temperature", "max_tokens", "max_completion_tokens")}
        if body["messages"][0]["role"] == "system" and self.system == "refuse":
            return Said({"object": "error", "message": self.system_words, "type": "BadRequestError"}, status=400)
        if body["messages"][0]["role"] == "system" and self.system == "break":
            return Said("Internal Server Error", status=500)
        for name, is_sent in fields.items():
            if is_sent and getattr(self, name) == "break":
                return Said("Internal Server Error", status=500)
            if is_sent and getattr(self, name) == "refuse":
                named = "response_format" if name.startswith("json") else name
                said = {"message": f"Unsupported parameter: '{named}' is not supported with this model.", "code": None}
                return Said({"error": {**said, "type": "invalid_request_error", "param": named}}, status=400)
        return Said(self._complete(body, kind), is_packed=self.is_packed)

    def _complete(self, body: dict[str, Any], kind: str | None) -> dict[str, Any]:
        asked = body["messages"][-1]["content"]
        tokens = ["seven"] * 60 if "Count from" in asked else ["JSON", "is", "text", "for", "data."]
        if kind == "json_schema" and self.json_schema == "honour":
            n = body["response_format"]["json_schema"]["schema"]["properties"]["answers"]["minItems"]
            tokens = ['{"answers":', "[" + ",".join("10"[i % 2] for i in range(n)) + "]", "}"]
        elif kind == "json_object" and self.json_object == "honour":
            tokens = ['{"sentence":', '"x"', "}"]
        limits = [
            body[n] for n in ("max_tokens", "max_completion_tokens") if n in body and getattr(self, n) == "honour"
        ]
        left = min(limits, default=10_000)
        is_cut = self.n_thoughts + len(tokens) > left
        tokens = tokens[: max(0, left - self.n_thoughts)]
        reply = completion(" ".join(tokens), finish="length" if is_cut else "stop")
        reply["usage"]["completion_tokens"] = min(left, self.n_thoughts + len(tokens))
        if body.get("logprobs") and self.logprobs == "honour":
            others = [{"token": f"t{i}", "logprob": -1.0 - i} for i in range(body["top_logprobs"])]
            content = [{"token": token, "logprob": -0.1, "top_logprobs": others} for token in tokens]
            reply["choices"][0]["logprobs"] = {"content": content}
        return reply

    def _decide(self, body: dict[str, Any]) -> Said:
        """A statement is true when its last word stands in the input, or by its number where it has none."""
        assert set(body) == {"model", "input", "questions"}
        answers = []
        for question in body["questions"]:
            word = question["instructions"].rstrip(".").split()[-1]
            p = 0.9 if word in body["input"] else 0.2
            p = 0.9 - 0.8 * (int(question["name"]) % 2) if question["name"].isdecimal() else p
            p = p if self.decisions == "honour" else 0.5
            answers.append({"type": "predicate", "name": question["name"], "probability": p})
        details = {"cached_tokens": 40, "cache_write_tokens": 0}
        usage = {"input_tokens": 100, "input_tokens_details": details, "output_tokens": 2, "total_tokens": 102}
        return Said({"model": "decider", "answers": answers, "usage": usage})


KINDS_OF_SERVER = {
    "honours all": Kind(),
    "ignores logprobs": Kind(logprobs="ignore"),
    "breaks on a schema": Kind(json_schema="break"),
    "breaks on any format": Kind(json_schema="break", json_object="break"),
    "ignores max_completion_tokens": Kind(max_completion_tokens="ignore"),
    "ignores max_tokens": Kind(max_tokens="ignore"),
    "ignores every limit": Kind(max_tokens="ignore", max_completion_tokens="ignore"),
    "a reasoning model": Kind(logprobs="refuse", temperature="refuse", max_tokens="refuse", n_thoughts=40),
    "ignores all but the limit": Kind(json_schema="ignore", json_object="ignore", logprobs="ignore"),
    "knows json_object only": Kind(json_schema="ignore"),
    "refuses what it does not know": Kind(json_schema="refuse", json_object="refuse", logprobs="refuse"),
    "decides": Kind(decisions="honour"),
    "decides without telling": Kind(decisions="constant"),
    "packs its replies": Kind(is_packed=True),
    "refuses a message of the system": Kind(system="refuse"),
    "breaks on a message of the system": Kind(system="break"),
    "refuses a message of the system without a word": Kind(system="refuse", system_words="Bad Request"),
    "refuses it and knows no schema": Kind(system="refuse", json_schema="refuse", json_object="refuse"),
    "thinks for long": Kind(n_thoughts=900),
}

SYSTEM_REFUSALS = (
    "System role not supported",
    "Only user and assistant roles are supported!",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "After the optional system message, conversation roles must alternate user/assistant/user/assistant/...",
    "Developer instruction is not enabled for models/gemma-3-27b-it",
    "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    "System messages are not supported by this model's chat template",
)
"""How servers word it that a chat template takes no message of the system."""

_PART = {**completion("[1, "), "usage": {"prompt_tokens": 100, "completion_tokens": 3, "total_tokens": 103}}
_NONE = {**completion(""), "usage": {"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100}}


def _choice(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**body, "choices": [{**body["choices"][0], **changes}]}


BROKEN_REPLIES: dict[str, dict[str, Any]] = {
    "finish_reason error": _choice(_PART, finish_reason="error"),
    "finish_reason abort": _choice(_PART, finish_reason="abort"),
    "an error beside the choices": {**_PART, "error": {"message": "upstream", "code": 502}},
    "an error alone": {"error": {"message": "upstream"}},
    "an error that is text": {"error": "upstream"},
    "an error in the choice": _choice(_PART, error={"code": 502, "message": "upstream"}),
    "a refusal by the provider": _choice(_PART, error={"code": 400, "message": "bad"}, finish_reason="error"),
    "native_finish_reason": _choice(completion("[1, 0]"), native_finish_reason="network_error"),
    "no tokens": _NONE,
    "neither text nor end": {"choices": [{"message": {"content": None}, "finish_reason": None}]},
}
"""Failures of a provider that come with HTTP 200."""

LISTS: dict[str, Callable[[list[int]], str]] = {
    "numbered keys": lambda bits: json.dumps({str(i): bit for i, bit in enumerate(bits, 1)}),
    "named keys": lambda bits: json.dumps({f"Window {i}": bit for i, bit in enumerate(bits, 1)}),
    "answers by number": lambda bits: json.dumps({"answers": {str(i): bit for i, bit in enumerate(bits, 1)}}),
    "objects": lambda bits: json.dumps([{"window": i, "answer": bit} for i, bit in enumerate(bits, 1)]),
    "objects under answers": lambda bits: json.dumps(
        {"answers": [{"window": i, "answer": bit, "reason": "so"} for i, bit in enumerate(bits, 1)]}
    ),
    "lines": lambda bits: "\n".join(f"{i}: {bit}" for i, bit in enumerate(bits, 1)),
    "lines with words": lambda bits: (
        "Here you are:\n" + "\n".join(f"- **Window {i}:** {'yes' if bit else 'no'}" for i, bit in enumerate(bits, 1))
    ),
    "a list in a string": lambda bits: json.dumps({"answers": json.dumps(bits)}),
    "JSON in a string": lambda bits: json.dumps(json.dumps({"answers": bits})),
}
"""How weak judges write a list of answers."""


@dataclass(frozen=True, slots=True)
class Stubborn:
    """A server that is probed as one of `kind`, and that answers every question in the same odd way: a whole body, or
    the form in which it writes a list of ones."""

    odd: dict[str, Any] | Callable[[list[int]], str]
    kind: Kind = Kind()

    def __call__(self, path: str, body: dict[str, Any]) -> Said:
        said = self.kind(path, body)
        n = re.search(r"Number of windows: (\d+)", body["messages"][-1]["content"])
        if said.status != 200 or n is None:
            return said
        return Said(completion(self.odd([1] * int(n[1]))) if callable(self.odd) else self.odd)
