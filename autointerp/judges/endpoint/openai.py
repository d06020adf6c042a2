"""Judge `openai`: any OpenAI-compatible endpoint, by `/chat/completions` or, for probabilities, `/decisions`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from autointerp.errors import ConfigError, JudgeError, JudgeRejected, JudgeRetry, JudgeStopped, RunStopped
from autointerp.judges.endpoint.chat import chat_body
from autointerp.judges.endpoint.completion import (
    code_and_message,
    embedded_error,
    read_completion,
    read_refusal,
    read_usage,
    status_error,
)
from autointerp.judges.endpoint.credentials import server_words
from autointerp.judges.endpoint.decisions import can_decide, decision_body, read_decisions
from autointerp.judges.endpoint.endpoint import OPENAI_URL, OpenAIOptions, read_key
from autointerp.judges.endpoint.identity import ask_identity, render_identity
from autointerp.judges.endpoint.prices import price_of
from autointerp.judges.endpoint.probe_memory import Finding, recall, remember
from autointerp.judges.endpoint.probing import PROBE_TOKENS, Refused, find_out, told_when_silent
from autointerp.judges.endpoint.transport import Answer, Transport
from autointerp.judges.engine.budget import Budget
from autointerp.judges.judge import Capabilities, Reply, Request
from autointerp.judges.options import read_options
from autointerp.judges.system_message import refuses_system
from autointerp.judges.tasks import ScoreTask

__all__ = ["OPENAI_URL", "OpenAIJudge", "decode_answer", "key_header", "open_judge"]

_TOKENS_PER_MESSAGE = 16
"""More than any chat template wraps around a message."""
_LONGEST_TIMEOUT_S = 3600.0
_ABOUT_LENGTH = re.compile(r"max_(?:completion_)?tokens|context|too (?:long|large)", re.IGNORECASE)
_ASKED = frozenset({"token_limit_field", "reply_format", "omit_fields", "top_logprobs", "decisions"})
"""With all of these set, nothing is probed."""
_PASSING = {408, 409, 425, 429, 498, 503, 504, 529}
"""Statuses of failures unrelated to the request's content."""


class OpenAIJudge:
    def __init__(self, model: str, *, options: OpenAIOptions) -> None:
        """Raises ConfigError when the key is missing, or the address or a proxy is unusable."""
        self._model, self._options = model, options
        self._key = read_key(options)
        self._transport = Transport(
            options.root(model),
            headers=key_header(options, self._key),
            query={} if options.api_version is None else {"api-version": options.api_version},
            max_concurrent=options.max_concurrent,
            timeout_s=options.timeout_s or _LONGEST_TIMEOUT_S,
            clean=partial(server_words, key=self._key),
        )
        self._body = options.body
        self._wire = options.wire(model)
        self._identity = render_identity(None, {})
        self._price = price_of(options.base_url, model)

    @property
    def capabilities(self) -> Capabilities:
        """Known abilities; before `probe`, from options and dialect."""
        options, wire = self._options, self._wire
        return Capabilities(
            endpoint=options.place,
            model=self._model,
            has_logprobs=wire.top_logprobs > 0,
            has_schema=wire.reply_format == "json_schema",
            max_concurrent=options.max_concurrent,
            variant=wire.variant(self._body),
            is_shared=options.is_shared,
            identity=self._identity,
        )

    def bound_usd(self, request: Request) -> float | None:
        # no tokenizer makes more tokens than a text has bytes
        n_bytes = sum(len(message.content.encode(errors="replace")) for message in request.messages)
        n_bytes += _TOKENS_PER_MESSAGE * len(request.messages)
        if request.reply_schema is not None:
            n_bytes += len(json.dumps(dict(request.reply_schema)))
        if self._decides(request):  # every question may read the input anew
            body = decision_body(request, model=self._model)
            n_questions = len(body["questions"])
            n_bytes = n_questions * (n_bytes + len(json.dumps(body["questions"])))
            return self._usd(input_tokens=n_bytes, output_tokens=max(request.max_tokens, n_questions))
        return self._usd(input_tokens=n_bytes, output_tokens=request.max_tokens + self._wire.thinking_tokens)

    async def ask(self, request: Request) -> Reply:
        """Raises JudgeRetry, JudgeRejected or JudgeStopped, without the key."""
        if self._decides(request):
            return await self._decide(request)
        answer = await self._transport.post("/chat/completions", self.request_body(request))
        content = self._read(answer)
        if isinstance(content, Reply):
            return content
        return read_completion(content, answer.headers, model=self._model, price=self._usd)

    def request_body(self, request: Request) -> dict[str, Any]:
        """Raises JudgeRejected for a request that goes to /decisions."""
        if self._decides(request):
            raise JudgeRejected("a request for /decisions; judges.openai.decisions = 'never' asks it as a chat")
        return chat_body(request, self._wire, model=self._model, more=self._body)

    def read_result(self, status: int, body: Any) -> Reply:
        """Reply from a batch file, at the batch's price. Raises as `ask`."""
        content = self._read(Answer(status, {}, json.dumps(body).encode()))
        if isinstance(content, Reply):
            return content
        return read_completion(content, {}, model=self._model, price=self._batch_usd)

    @property
    def batch_price_frac(self) -> float:
        return self._options.batch_price_frac

    def settle(self, *, run: Path) -> None:
        """`probe` without requests: recall folder `run`'s finding, else store the dialect's promise there, so that
        files and API requests agree.
        """
        pinned = self._options.pinned
        if self._options.probe == "off" or pinned >= _ASKED:
            return
        about = self._options.about(self._model)
        finding = recall(about, run=run, cache=None)
        if finding is None:
            at = datetime.now(UTC).isoformat(timespec="seconds")
            finding = Finding(self._options.wire(self._model), ("as its dialect promises",), at, 0)
            remember(finding, about, run=run, cache=None)
        self._wire = self._options.wire(self._model, finding.wire)

    async def probe(self, *, run: Path | None, cache: Path | None, budget: Budget, say: Callable[[str], None]) -> None:
        """Find out or recall which fields the endpoint honours, and use them from now on.

        Folders `run` and `cache` keep findings; requests count in `budget`. An endpoint that does not answer is asked
        by its dialect. Raises RunStopped when no request can succeed.
        """
        options, pinned = self._options, self._options.pinned
        if options.probe == "off":
            return

        def tell(words: str) -> None:
            say(f"{self._name()}: {words}")

        with told_when_silent(tell, "no answer yet to the question what it serves; waiting up to 10 s for it"):
            serves = await ask_identity(self._transport, self._model)
        self._identity = render_identity(serves, {})
        if pinned >= _ASKED:
            return
        about = self._options.about(self._model)
        finding = (
            None
            if options.probe == "again"
            else recall(about, run=run, cache=cache, is_current=lambda finding: finding.serves == serves)
        )
        if finding is not None and None not in (finding.serves, serves) and finding.serves != serves:
            tell(f"serves another model by this name than when this run began ({_changed(finding.serves, serves)})")
        origin = "remembered from"
        if finding is None:
            try:
                finding = await find_out(
                    self._sender(budget),
                    model=self._model,
                    wire=options.wire(self._model),
                    pinned=pinned,
                    body=self._body,
                    may_decide="decisions" not in pinned and options.kind.may_decide,
                    say=tell,
                )
            except (JudgeRetry, JudgeRejected) as error:
                say(f"{self._name()} could not be probed ({error}); asking as dialect {options.kind.name} promises")
                return
            finding = replace(finding, serves=serves)
            remember(finding, about, run=run, cache=cache)
            origin = f"probed with {finding.n_requests} requests on"
        self._wire = options.wire(self._model, finding.wire)
        self._identity = render_identity(serves, finding.answered_by)
        say(f"{self._name()}: {', '.join(finding.seen)}; {origin} {finding.at[:10]}{_hint(finding)}")

    def ask_as(self, other: OpenAIJudge) -> None:
        """Use the fields that another server of the same model was found to honour."""
        self._wire, self._identity = other._wire, other._identity

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _decides(self, request: Request) -> bool:
        return self._wire.has_decisions and can_decide(request)

    async def _decide(self, request: Request) -> Reply:
        assert isinstance(request.task, ScoreTask)
        answer = await self._transport.post("/decisions", decision_body(request, model=self._model))
        content = self._read(answer)
        if isinstance(content, Reply):
            return content
        n = len(request.task.passages)
        return read_decisions(content, answer.headers, n=n, model=self._model, price=self._usd)

    def _usd(self, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
        """Price by options, else by tables, else 0 on this machine."""
        if self._price is not None and self._options.usd_per_million_input_tokens is None:
            return self._price.usd(input_tokens=input_tokens, output_tokens=output_tokens, cached_tokens=cached_tokens)
        return self._options.usd(input_tokens=input_tokens, output_tokens=output_tokens, cached_tokens=cached_tokens)

    def _batch_usd(self, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
        usd = self._usd(input_tokens=input_tokens, output_tokens=output_tokens, cached_tokens=cached_tokens)
        return None if usd is None else usd * self._options.batch_price_frac

    def _read(self, answer: Answer) -> Any:
        """Decoded body, or a Reply for a content filter's error."""
        status, body = decode_answer(answer)
        if status == 200:
            return body
        refusal = read_refusal(status, body, model=self._model)
        if refusal is None:
            raise self._error(status, body, answer.headers)
        return refusal

    def _error(self, status: int, body: Any, headers: Mapping[str, str]) -> JudgeError | JudgeStopped:
        error = status_error(
            status,
            body,
            headers,
            endpoint=self._options.base_url,
            model=self._model,
            key_name=self._options.key_name,
            clean=partial(server_words, key=self._key),
        )
        if not isinstance(error, JudgeRejected):
            return error
        words = code_and_message(body)[1]
        if refuses_system(words) and not self._wire.fold_system:
            return JudgeRejected(f"{error}; set judges.openai.fold_system = true")
        if self._wire.thinking_tokens and _ABOUT_LENGTH.search(words):
            tokens = self._wire.thinking_tokens
            return JudgeRejected(f"{error}; judges.openai.thinking_tokens = {tokens} can be set to less")
        return error

    def _sender(self, budget: Budget) -> Callable[[str, dict[str, Any]], Any]:
        """Sender of test requests; it raises Refused for errors that may be about a field."""

        async def send(path: str, body: dict[str, Any]) -> tuple[Any, Mapping[str, str]]:
            bound_usd = self._usd(input_tokens=len(json.dumps(body)), output_tokens=PROBE_TOKENS)
            reservation = await budget.reserve(bound_usd)
            usd = None
            try:
                answer = await self._transport.post(path, body)
                status, content = decode_answer(answer)
                usd = read_usage(content.get("usage"), self._usd).usd if isinstance(content, dict) else None
                usd = usd if status == 200 else 0.0
            finally:
                budget.settle(reservation, usd=usd)
            if status == 200:
                return content, answer.headers
            error = self._error(status, content, answer.headers)
            is_last = (isinstance(error, RunStopped) and status != 404) or status in _PASSING
            if path == "/chat/completions" and (is_last or code_and_message(content)[0] == "model_not_found"):
                raise error
            raise Refused(content, error, is_fault=status >= 500)

        return send

    def _name(self) -> str:
        return f"openai:{self._model} at {self._options.base_url} ({self._options.kind.name})"


def key_header(options: OpenAIOptions, key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    name = options.kind.key_header
    return {name: f"Bearer {key}" if name == "Authorization" else key}


def decode_answer(answer: Answer) -> tuple[int, Any]:
    """Status and body. Raises JudgeRetry for a malformed body."""
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        if answer.status == 200:
            raise JudgeRetry(f"the endpoint sent a malformed body of {len(answer.content)} bytes") from None
        return answer.status, answer.content[:2000].decode("utf-8", errors="replace")
    # some servers wrap an error into HTTP 200
    wrapped = embedded_error(body) if answer.status == 200 else None
    return (answer.status, body) if wrapped is None else wrapped


def _changed(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    """First difference between two identities."""
    before, now = before or {}, now or {}
    name = next(name for name in {**before, **now} if before.get(name) != now.get(name))
    return f"{name}: {json.dumps(before.get(name))[:80]}, now {json.dumps(now.get(name))[:80]}"


def _hint(found: Finding) -> str:
    if all(word in " ".join(found.seen) for word in ("max_tokens ignored", "max_completion_tokens ignored")):
        return "; replies can be longer, and dearer, than max_tokens"
    return ""


def open_judge(model: str | None, options: Mapping[str, Any]) -> OpenAIJudge:
    """Raises ConfigError for a missing model or key, or a wrong option."""
    checked = read_options("openai", OpenAIOptions, options)
    if model is None:
        raise ConfigError("judge 'openai' needs a model: write openai:MODEL, for example openai:gpt-5-mini")
    if checked.replicas:
        from autointerp.judges.endpoint.replicated import ReplicatedJudge

        return ReplicatedJudge(model, options=checked)
    return OpenAIJudge(model, options=checked)
