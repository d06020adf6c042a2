"""Reading what an OpenAI-compatible endpoint sends: a chat completion as a reply, an error as one of ours.

It takes decoded JSON, status codes and headers, and knows nothing of connections.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from autointerp.errors import JudgeError, JudgeRejected, JudgeRetry, JudgeStopped
from autointerp.judges.protocol import Reply, Usage

__all__ = ["Price", "read_completion", "read_refusal", "retry_after_s", "status_error"]

_NO_CREDITS = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_credits"}
_TRY_AGAIN = {408, 409, 425, 429, 498, 529}


class Price(Protocol):
    def __call__(self, *, input_tokens: int, output_tokens: int) -> float | None: ...


def read_completion(body: Any, *, model: str, price: Price) -> Reply:
    """A chat completion as a reply. Raises JudgeRetry when it has not the form of one."""
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise JudgeRetry("the endpoint sent a body without choices[0].message")
    text, finish = _text(message.get("content")), _finish(choice.get("finish_reason"))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        text, finish = text or refusal, "refused"
    name = body.get("model")
    return Reply(
        text=text,
        model=name if isinstance(name, str) else model,
        finish=finish,
        usage=_usage(body.get("usage"), price),
        token_logprobs=_logprobs(choice.get("logprobs")),
    )


def read_refusal(status: int, body: Any, *, model: str) -> Reply | None:
    """The reply that an error of a content filter amounts to, or None for any other error."""
    code, message = _code_and_message(body)
    is_flagged = code in ("content_filter", "content_policy_violation") or "content management policy" in message
    if status == 403 and isinstance(body, dict) and isinstance(body.get("metadata"), dict):
        is_flagged = is_flagged or bool(body["metadata"].get("flagged_input") or body["metadata"].get("reasons"))
    return Reply(text=message, model=model, finish="refused") if is_flagged else None


def status_error(
    status: int,
    body: Any,
    headers: Mapping[str, str],
    *,
    endpoint: str,
    model: str,
    key_env: str,
    clean: Callable[[str], str],
) -> JudgeError | JudgeStopped:
    """The error that a status stands for. `clean` takes secrets out of the server's words."""
    code, message = _code_and_message(body)
    said = clean(message) or "no reason given"
    if code in _NO_CREDITS or status == 402:
        return JudgeStopped(f"no credits left at {endpoint} ({code or status}); top up the account of {key_env}")
    if status in (401, 403):
        who = f"the key in environment variable {key_env}" if key_env else "a request without key (set key_env)"
        return JudgeStopped(f"{endpoint} does not accept {who} for model '{model}' ({status}); check that key")
    if status == 404:
        return JudgeStopped(f"{endpoint} does not know model '{model}' or is no /chat/completions endpoint: {said}")
    if 300 <= status < 400:
        return JudgeStopped(f"{endpoint} redirects elsewhere ({status}), which is not followed; give the final address")
    if status in _TRY_AGAIN or status >= 500:
        return JudgeRetry(f"HTTP {status}: {said}", retry_after_s=retry_after_s(headers, now=time.time()))
    return JudgeRejected(f"HTTP {status}: {said}")


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """The pause a server asks for: `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3)."""
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            pause_s = float(value) * unit_s
        except ValueError:
            try:
                pause_s = email.utils.parsedate_to_datetime(value).timestamp() - now
            except ValueError:
                continue
        if pause_s == pause_s:  # a NaN says nothing
            return max(0.0, pause_s)
    return None


def _code_and_message(body: Any) -> tuple[str, str]:
    """The error code (or type) and the words of an error body, in any of the forms servers use."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return "", str(error or "")
    codes = [str(error.get(field) or "") for field in ("code", "type")]
    code = next((c for c in codes if c in _NO_CREDITS), codes[0] or codes[1])
    inner = error.get("innererror")
    if isinstance(inner, dict) and inner.get("code") == "ResponsibleAIPolicyViolation":
        code = "content_filter"
    return code, str(error.get("message") or error.get("detail") or "")


def _text(content: Any) -> str:
    if isinstance(content, list):  # a list of typed parts
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _finish(reason: Any) -> Literal["stop", "length", "refused"]:
    if reason in ("length", "max_tokens"):
        return "length"
    return "refused" if reason in ("content_filter", "refusal") else "stop"


def _usage(usage: Any, price: Price) -> Usage:
    if not isinstance(usage, dict):
        is_free = price(input_tokens=1, output_tokens=1) == 0.0
        return Usage(usd=0.0 if is_free else None)
    details = usage.get("prompt_tokens_details")
    n_input, n_output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    usd, cost = price(input_tokens=n_input, output_tokens=n_output), usage.get("cost")
    if isinstance(cost, int | float) and cost >= 0:
        usd = float(cost)
    return Usage(
        input_tokens=n_input,
        output_tokens=n_output,
        cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, dict) else 0,
        usd=usd,
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _logprobs(logprobs: Any) -> tuple[tuple[str, Mapping[str, float]], ...] | None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or not content:
        return None
    tokens = []
    for item in content:
        if not isinstance(item, dict):
            return None
        seen = [item, *(item.get("top_logprobs") or [])]
        tokens.append((str(item.get("token", "")), dict(filter(None, map(_alternative, seen)))))
    return tuple(tokens)


def _alternative(item: Any) -> tuple[str, float] | None:
    logprob: Any = item.get("logprob") if isinstance(item, dict) else None
    if not isinstance(logprob, int | float):
        return None
    return str(item.get("token", "")), float(logprob)
