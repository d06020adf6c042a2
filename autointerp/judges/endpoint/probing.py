"""Test requests that reveal which fields an endpoint honours.

Servers ignore fields silently, so replies are tested: an English sentence under a JSON schema it cannot fit, and a long
count within few tokens. Refused fields are dropped and the request repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from autointerp.errors import JudgeError, JudgeRetry
from autointerp.judges.endpoint.chat import chat_body
from autointerp.judges.endpoint.completion import code_and_message, read_completion
from autointerp.judges.endpoint.dialects import TOP_LOGPROBS, ReplyFormat, TokenLimit, Wire
from autointerp.judges.endpoint.heeding import (
    COUNT_TOKENS,
    Heeded,
    format_heeded,
    limit_heeded,
    logprobs_heeded,
    room_to_think,
)
from autointerp.judges.endpoint.probe_memory import Finding
from autointerp.judges.engine.budget import Budget
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.system_message import refuses_system
from autointerp.judges.tasks import ScoreTask
from autointerp.safe_text import safe_line

__all__ = ["PROBE_TOKENS", "Probed", "Refused", "find_out", "told_when_silent"]

Send = Callable[[str, dict[str, Any]], Awaitable[tuple[Any, Mapping[str, str]]]]
"""Send a body to a path; returns the decoded answer and headers. Raises Refused, JudgeRetry, RunStopped."""

_SCHEMA = {
    "type": "object",
    "properties": {
        "answers": {"type": "array", "items": {"type": "integer", "enum": [0, 1]}, "minItems": 3, "maxItems": 3}
    },
    "required": ["answers"],
    "additionalProperties": False,
}
_SYSTEM = "Do what the user asks for, and nothing else."
_SENTENCE = "What is JSON? Answer with one short sentence of plain English and nothing else."
_COUNT = "Count from one to sixty in English words, separated by spaces, and say nothing else."
PROBE_TOKENS = 1000
"""Leaves room for thinking before the answer."""
_SHORT_THOUGHT = 20
"""Tokens beyond one per character that prove thinking."""
_MOST_REQUESTS = 10
_MOST_RETRIES = 2
_TIMEOUT_S = 120.0
"""Some servers load a model on first use."""
_SILENT_S = 5.0
_FORMATS: tuple[ReplyFormat, ...] = ("json_schema", "json_object", "none")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "logprobs": ("logprob",),
    "reply_format": ("response_format", "json_schema", "json_object", "structured output", "grammar"),
    "temperature": ("temperature",),
    "token_limit_field": ("max_tokens", "max_completion_tokens"),
}
"""Words in an error that blame a field."""


@runtime_checkable
class Probed(Protocol):
    """Judge that tests its endpoint before other questions."""

    async def probe(
        self, *, run: Path | None, cache: Path | None, budget: Budget, say: Callable[[str], None]
    ) -> None: ...


class Refused(JudgeError):
    """An endpoint's error to a test request. `error`: its meaning for a question; `is_fault`: the server blames
    itself.
    """

    def __init__(self, body: Any, error: Exception, *, is_fault: bool) -> None:
        super().__init__(str(error))
        self.body, self.error, self.is_fault = body, error, is_fault


@contextmanager
def told_when_silent(say: Callable[[str], None], words: str) -> Iterator[None]:
    """Call `say(words)` after a few seconds."""
    timer = asyncio.get_running_loop().call_later(_SILENT_S, say, words)
    try:
        yield
    finally:
        timer.cancel()


async def find_out(
    send: Send,
    *,
    model: str,
    wire: Wire,
    pinned: frozenset[str],
    body: Mapping[str, Any],
    may_decide: bool,
    timeout_s: float = _TIMEOUT_S,
    say: Callable[[str], None] = lambda _: None,
) -> Finding:
    """Test all fields of `wire` but those `pinned`; `body` goes with every request, `say` receives messages about
    waits.

    Raises JudgeRetry without any answer, and the endpoint's error to the plainest request.
    """
    probe = _Probe(send, model, wire, pinned, body, timeout_s, say)
    await probe.ask_structure()
    if "token_limit_field" not in pinned:
        await probe.ask_limit()
    if may_decide:
        await probe.ask_decisions()
    probe.make_room_to_think()
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Finding(probe.wire, tuple(probe.seen), at, probe.n_requests, probe.answered_by, n_thoughts=probe.n_thoughts)


class _Probe:
    def __init__(
        self,
        send: Send,
        model: str,
        wire: Wire,
        pinned: frozenset[str],
        body: Mapping[str, Any],
        timeout_s: float,
        say: Callable[[str], None],
    ) -> None:
        self._send, self._model, self._pinned, self._body = send, model, pinned, dict(body)
        self._promised, self._timeout_s, self._say = wire, timeout_s, say
        self._has_tried_folding = False
        self.n_thoughts = 0
        self.wire = replace(
            wire,
            reply_format=wire.reply_format if "reply_format" in pinned else "json_schema",
            top_logprobs=wire.top_logprobs if "top_logprobs" in pinned else TOP_LOGPROBS,
            omit_fields=wire.omit_fields if "omit_fields" in pinned else _without_temperature(wire),
            has_decisions=False,
            thinking_tokens=0,
        )
        self.seen: list[str] = []
        self.answered_by: dict[str, str] = {}
        self.n_requests = 0

    async def ask_structure(self) -> None:
        """Test reply format, log-probabilities and temperature."""
        has_logprobs: Heeded = "unknown"
        while True:
            reply = await self._put_stepping_down(_SENTENCE, PROBE_TOKENS)
            self.n_thoughts = max(self.n_thoughts, reply.usage.output_tokens - len(reply.text))
            if self.wire.top_logprobs and reply.text:
                has_logprobs = logprobs_heeded(reply)
            heeded = format_heeded(reply, self.wire.reply_format)
            if heeded != "ignored" or "reply_format" in self._pinned or self.wire.reply_format == "none":
                break
            self.seen.append(f"{self.wire.reply_format} ignored")
            self.wire = replace(self.wire, reply_format=_next(self.wire.reply_format))
            if self.wire.reply_format == "none":
                break
        if self.wire.reply_format != "none":
            self.seen.append(f"{self.wire.reply_format} {heeded}")
            if heeded == "unknown" and "reply_format" not in self._pinned:
                self.wire = replace(self.wire, reply_format=self._promised.reply_format)
        if self.wire.top_logprobs and "top_logprobs" not in self._pinned:
            kept = {"honoured": TOP_LOGPROBS, "ignored": 0, "unknown": self._promised.top_logprobs}
            self.wire = replace(self.wire, top_logprobs=kept[has_logprobs])
        if self.wire.top_logprobs or has_logprobs == "ignored":
            self.seen.append(f"logprobs {has_logprobs}")

    def make_room_to_think(self) -> None:
        """Grant extra tokens to a model seen thinking."""
        if self.n_thoughts <= _SHORT_THOUGHT:
            return
        said = f"thinks some {self.n_thoughts} tokens before a short answer"
        if "thinking_tokens" in self._pinned:
            self.seen.append(said)
            return
        room = room_to_think(self.n_thoughts)
        self.wire = replace(self.wire, thinking_tokens=room)
        self.seen.append(f"{said}, so that requests may take {room:,} more than max_tokens")

    async def ask_limit(self) -> None:
        """Test the spellings of the token limit."""
        first = self.wire.token_limit_field
        for field in (first, _other(first)):
            try:
                reply = await self._put(_COUNT, COUNT_TOKENS, replace(self.wire, token_limit_field=field))
            except Refused:
                self.seen.append(f"{field} refused")
                continue
            heeded = limit_heeded(reply)
            self.seen.append(f"{field} {heeded}")
            if heeded != "ignored":
                self.wire = replace(self.wire, token_limit_field=field)
                return

    async def ask_decisions(self) -> None:
        """Test whether `/decisions` tells true from false statements."""
        statements = ("The text mentions a cat.", "The text mentions a submarine.")
        questions = [{"type": "predicate", "name": s[-9:-1], "instructions": s} for s in statements]
        body = {"model": self._model, "input": "The cat sat on the mat.", "questions": questions}
        self.n_requests += 1
        try:
            answer, _ = await self._timed("/decisions", body)
            right, wrong = (float(question["probability"]) for question in answer["answers"])
        except (JudgeError, TypeError, ValueError, KeyError, OverflowError):
            return
        if 0.0 <= wrong < right <= 1.0:
            self.wire = replace(self.wire, has_decisions=True)
        self.seen.append(f"/decisions {'honoured' if self.wire.has_decisions else 'answers without telling'}")

    async def _timed(self, path: str, body: dict[str, Any]) -> tuple[Any, Mapping[str, str]]:
        words = f"no reply to probe {self.n_requests} for {_SILENT_S:g} s; waiting up to {self._timeout_s:g} s for it"
        try:
            with told_when_silent(self._say, words):
                async with asyncio.timeout(self._timeout_s):
                    return await self._send(path, body)
        except TimeoutError:
            raise JudgeRetry(f"no reply within {self._timeout_s:g} s") from None

    async def _put_stepping_down(self, prompt: str, max_tokens: int) -> Reply:
        """Reply after dropping refused fields one by one."""
        n_faults = 0
        while True:
            try:
                return await self._put(prompt, max_tokens, self.wire)
            except Refused as refused:
                named = code_and_message(refused.body)[1].lower()
                blamed = [field for field, words in _FIELDS.items() if any(word in named for word in words)]
                if self._may_fold and refuses_system(named):
                    self._fold()
                    continue
                n_faults += refused.is_fault
                is_first_fault = refused.is_fault and n_faults == 1
                if self._may_fold and not self._has_tried_folding and not blamed:
                    is_systems_fault = await self._try_folding(prompt, max_tokens)
                    if is_systems_fault:
                        self._fold()
                    if is_systems_fault is not None:
                        continue
                elif is_first_fault:
                    continue  # it may have nothing to do with what was asked
                n_faults = 0
                if self.n_requests >= _MOST_REQUESTS or not self._leave_out(blamed):
                    raise refused.error from None

    @property
    def _may_fold(self) -> bool:
        return not self.wire.fold_system and "fold_system" not in self._pinned

    def _fold(self) -> None:
        self.seen.append("message of the system refused, it joins the user's")
        self.wire = replace(self.wire, fold_system=True)

    async def _try_folding(self, prompt: str, max_tokens: int) -> bool | None:
        """Whether a request is refused with its system message only; None where refused without it too."""
        self._has_tried_folding = True
        try:
            await self._put(prompt, max_tokens, replace(self.wire, fold_system=True))
        except Refused:
            return None
        try:
            await self._put(prompt, max_tokens, self.wire)
        except Refused:
            return True
        return False

    def _leave_out(self, blamed: list[str]) -> bool:
        """Drop one field, blamed ones first; False without one left."""
        for field in dict.fromkeys([*blamed, "reply_format", "logprobs", "temperature", "token_limit_field"]):
            wire = self.wire
            if field == "reply_format" and field not in self._pinned and wire.reply_format != "none":
                self.seen.append(f"{wire.reply_format} refused")
                self.wire = replace(wire, reply_format=_next(wire.reply_format))
            elif field == "logprobs" and "top_logprobs" not in self._pinned and wire.top_logprobs:
                self.seen.append("logprobs refused")
                self.wire = replace(wire, top_logprobs=0)
            elif field == "temperature" and "omit_fields" not in self._pinned and "temperature" not in wire.omit_fields:
                self.seen.append("temperature refused")
                self.wire = replace(wire, omit_fields=tuple(sorted({*wire.omit_fields, "temperature"})))
            elif (
                field == "token_limit_field"
                and field not in self._pinned
                and wire.token_limit_field == self._promised.token_limit_field
            ):
                self.seen.append(f"{wire.token_limit_field} refused")
                self.wire = replace(wire, token_limit_field=_other(wire.token_limit_field))
            else:
                continue
            return True
        return False

    async def _put(self, prompt: str, max_tokens: int, wire: Wire) -> Reply:
        """One chat completion, repeated after passing failures."""
        request = Request(
            ScoreTask("", ()),
            (Message("system", _SYSTEM), Message("user", prompt)),
            max_tokens,
            reply_schema=_SCHEMA if prompt == _SENTENCE else None,
            want_logprobs=prompt == _SENTENCE,
        )
        body = chat_body(request, wire, model=self._model, more=self._body)
        for n_before in range(_MOST_RETRIES + 1):
            self.n_requests += 1
            try:
                answer, headers = await self._timed("/chat/completions", body)
                self._note_who(answer)
                return read_completion(answer, headers, model=self._model, price=_unpriced)
            except JudgeRetry as error:
                if n_before == _MOST_RETRIES or (error.retry_after_s or 0.0) > 60.0:
                    raise
                if error.retry_after_s is not None and error.retry_after_s > _SILENT_S:
                    self._say(f"asks for a pause of {error.retry_after_s:.0f} s; waiting for it")
                await asyncio.sleep(max(error.retry_after_s or 0.0, 0.2 * 2**n_before))
        raise AssertionError("unreachable")

    def _note_who(self, answer: Any) -> None:
        for name in ("model", "system_fingerprint"):
            value = answer.get(name) if isinstance(answer, dict) else None
            if isinstance(value, str) and value:
                self.answered_by[name] = safe_line(value)[:200]


def _next(kind: ReplyFormat) -> ReplyFormat:
    return _FORMATS[_FORMATS.index(kind) + 1]


def _other(field: TokenLimit) -> TokenLimit:
    return "max_tokens" if field == "max_completion_tokens" else "max_completion_tokens"


def _without_temperature(wire: Wire) -> tuple[Any, ...]:
    return tuple(field for field in wire.omit_fields if field != "temperature")


def _unpriced(*, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
    return None
