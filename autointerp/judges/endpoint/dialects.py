"""Documented differences between servers that speak OpenAI's chat protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

__all__ = [
    "COMPATIBLE",
    "DIALECTS",
    "TOP_LOGPROBS",
    "Dialect",
    "Omittable",
    "ReplyFormat",
    "TokenLimit",
    "Wire",
    "find_dialect",
    "thinks",
]

TokenLimit = Literal["max_completion_tokens", "max_tokens"]
ReplyFormat = Literal["json_schema", "json_object", "none"]
Omittable = Literal["temperature", "seed"]

TOP_LOGPROBS = 5
"""Enough for both labels, and the most some servers give."""


@dataclass(frozen=True, slots=True)
class Wire:
    """Form of requests to one model. `top_logprobs` 0: none; `fold_system`: the system message joins the user's;
    `thinking_tokens` are allowed beyond a reply's limit.
    """

    token_limit_field: TokenLimit
    reply_format: ReplyFormat
    omit_fields: tuple[Omittable, ...]
    top_logprobs: int
    has_decisions: bool = False
    fold_system: bool = False
    thinking_tokens: int = 0

    def variant(self, extra_body: Mapping[str, Any]) -> str:
        """Canonical text of what changes replies; the spelling of the token limit does not."""
        changed: dict[str, Any] = {
            "reply_format": None if self.reply_format == "none" else self.reply_format,
            "omit_fields": sorted(self.omit_fields),
            "top_logprobs": self.top_logprobs,
            "decisions": self.has_decisions,
            "fold_system": self.fold_system,
            "thinking_tokens": self.thinking_tokens,
            "extra_body": dict(extra_body),
        }
        changed = {name: value for name, value in changed.items() if value}
        return json.dumps(changed, sort_keys=True) if changed else ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server, found by ends of host names (`hosts`). `reasoning` matches models without `temperature` and
    `logprobs`; `key_env` None sends no key.
    """

    name: str
    hosts: tuple[str, ...] = ()
    key_env: str | None = None
    key_header: Literal["Authorization", "api-key"] = "Authorization"
    token_limit_field: TokenLimit = "max_tokens"
    reply_format: ReplyFormat = "none"
    omit_fields: tuple[Omittable, ...] = ()
    top_logprobs: int = 0
    has_decisions: bool = False
    may_decide: bool = False
    """Whether probing `/decisions` is worthwhile."""
    reasoning: re.Pattern[str] | None = None
    extra_body: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    about: str = ""

    def wire(self, model: str) -> Wire:
        """Documented behaviour for a model."""
        is_reasoning = self.reasoning is not None and self.reasoning.search(model) is not None
        return Wire(
            token_limit_field=self.token_limit_field,
            reply_format=self.reply_format,
            omit_fields=tuple(sorted({*self.omit_fields, "temperature"})) if is_reasoning else self.omit_fields,
            top_logprobs=0 if is_reasoning else self.top_logprobs,
            has_decisions=self.has_decisions,
        )


_THINKING = re.compile(
    r"(^|/)(o\d|gpt-[5-9](?!.*-chat)|gpt-oss|deepseek-r|qwq|qwen3(?!.*(instruct|coder|embed))|magistral|gemini-[3-9]"
    r"|gemini-2\.5|grok-(3-mini|4)|glm-(4\.[5-9]|[5-9])|minimax-m)|thinking|reason",
    re.IGNORECASE,
)
_OPENAI_REASONING = re.compile(r"(^|/)(o\d|gpt-[5-9](?!.*-chat))")

COMPATIBLE = Dialect(
    "compatible",
    may_decide=True,
    about="any other server; the older spelling of the token limit, which nearly all of them know",
)

_TABLE = (
    Dialect(
        "openai",
        hosts=("api.openai.com",),
        key_env="OPENAI_API_KEY",
        token_limit_field="max_completion_tokens",
        reply_format="json_schema",
        top_logprobs=TOP_LOGPROBS,
        may_decide=True,
        reasoning=_OPENAI_REASONING,
        about="reasoning models refuse temperature, logprobs and max_tokens; /decisions for one model so far",
    ),
    Dialect(
        "azure",
        hosts=(".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"),
        key_env="AZURE_OPENAI_API_KEY",
        key_header="api-key",
        token_limit_field="max_completion_tokens",
        reply_format="json_schema",
        top_logprobs=TOP_LOGPROBS,
        reasoning=_OPENAI_REASONING,
        about="under /openai/v1, or under /openai/deployments/NAME with option api_version",
    ),
    Dialect(
        "openrouter",
        hosts=("openrouter.ai",),
        key_env="OPENROUTER_API_KEY",
        extra_body=MappingProxyType({"provider": {"require_parameters": True}}),
        about="many providers behind one address: one that would drop a field is passed over; usage.cost always comes",
    ),
    Dialect(
        "anthropic",
        hosts=("api.anthropic.com",),
        key_env="ANTHROPIC_API_KEY",
        omit_fields=("seed",),
        about="documents that it ignores response_format, logprobs and seed",
    ),
    Dialect(
        "gemini",
        hosts=("generativelanguage.googleapis.com",),
        key_env="GEMINI_API_KEY",
        reply_format="json_schema",
        omit_fields=("seed",),
        about="refuses fields that it does not know, seed among them; logprobs for some models only",
    ),
    Dialect(
        "vllm",
        token_limit_field="max_completion_tokens",
        reply_format="json_schema",
        top_logprobs=TOP_LOGPROBS,
        may_decide=True,
        about="logprobs are those before a schema is applied; /decisions since 0.33 for some architectures",
    ),
    Dialect(
        "llama.cpp",
        reply_format="json_schema",
        top_logprobs=TOP_LOGPROBS,
        # some of its servers punish repetition unless told otherwise, which bends a list of 0 and 1
        extra_body=MappingProxyType({"repeat_penalty": 1.0}),
        about="logprobs are those before sampling; max_completion_tokens was ignored by older versions",
    ),
    Dialect(
        "ollama",
        hosts=("ollama.com", "localhost:11434", "127.0.0.1:11434"),
        reply_format="json_schema",
        top_logprobs=TOP_LOGPROBS,
        about="knows max_tokens only",
    ),
    Dialect("transformers", about="`transformers serve`: ignores response_format and logprobs without a word"),
    COMPATIBLE,
)

DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.name: dialect for dialect in _TABLE})


def find_dialect(base_url: str) -> Dialect:
    """Dialect of an address; `compatible` for unknown hosts."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    places = (f"{host}:{parts.port}", host) if parts.port else (host,)
    for dialect in _TABLE:
        for end in dialect.hosts:
            if any(place == end.lstrip(".") or place.endswith("." + end.lstrip(".")) for place in places):
                return dialect
    return COMPATIBLE


def thinks(model: str) -> bool:
    """Whether a model's name suggests thinking."""
    return _THINKING.search(model) is not None
