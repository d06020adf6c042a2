"""Answers of an OpenAI-compatible endpoint as replies or errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from autointerp.errors import JudgeError, JudgeRejected, JudgeRetry, JudgeStopped
from autointerp.judges.endpoint.rate_limits import read_rate_limits, retry_after_s
from autointerp.judges.judge import Reply, Usage

__all__ = [
    "Price",
    "code_and_message",
    "embedded_error",
    "read_completion",
    "read_refusal",
    "read_usage",
    "status_error",
]

_NO_CREDITS = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_credits"}
_TEXT_PARTS = {"text", "output_text"}
_TRY_AGAIN = {408, 409, 425, 429, 498, 529}
_TURNED_AWAY = {429, 498, 503, 529}
_OVERLOAD = {408, 504, *_TURNED_AWAY}
_BROKEN_OFF = {
    *("error", "network_error", "server_error", "upstream_error", "abort", "aborted", "cancelled", "timeout"),
    *("insufficient_system_resource", "engine_overloaded"),
}
"""Ends of a reply that are no end of the model's."""
_PASSING_IN_REPLY = {402, 408, 429, 498, 529}
_MOST_COUNT = 10**12


class Price(Protocol):
    """Cost of tokens in USD, None when unknown; `input_tokens` include `cached_tokens`."""

    def __call__(self, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None: ...


def embedded_error(body: Any) -> tuple[int, Any] | None:
    """Status and body of an error sent with HTTP 200."""
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    if error and isinstance(error, dict | str):
        return _stated_status(error) or 500, body
    choice = _choice(body)
    error = choice.get("error") if choice is not None else None
    if not error or not isinstance(error, dict | str):
        return None
    # an error inside a choice befell an accepted request, so it may pass
    status = _stated_status(error) or 502
    return status if status in _PASSING_IN_REPLY or status >= 500 else 502, {**body, "error": error}


def read_completion(body: Any, headers: Mapping[str, str], *, model: str, price: Price) -> Reply:
    """Raises JudgeRetry for a malformed, broken-off or empty completion."""
    choice = _choice(body)
    message = choice.get("message") if choice is not None else None
    if choice is None or not isinstance(message, dict):
        raise JudgeRetry("the endpoint sent a body without choices[0].message")
    reasons = (choice.get("finish_reason"), choice.get("native_finish_reason"))
    broken = next((reason for reason in reasons if str(reason).lower() in _BROKEN_OFF), None)
    if broken is not None:
        raise JudgeRetry(f"the endpoint broke the reply off ({broken})", is_unpaid=not _is_charged(body))
    text, finish = _text(message.get("content")), _finish(reasons[0])
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        text, finish = text or refusal, "refused"
    usage = read_usage(body.get("usage"), price)
    if not text and finish == "stop" and _is_nothing(body, message, is_ended=reasons[0] is not None):
        raise JudgeRetry("the endpoint sent an empty reply of no tokens", is_unpaid=not _is_charged(body))
    name = body.get("model")
    return Reply(
        text=text,
        model=name if isinstance(name, str) else model,
        finish=finish,
        usage=usage,
        token_logprobs=_logprobs(choice.get("logprobs")),
        rate_limits=read_rate_limits(headers, now=time.time()),
    )


def read_refusal(status: int, body: Any, *, model: str) -> Reply | None:
    """Reply for a content filter's error."""
    code, message = code_and_message(body)
    is_flagged = code in ("content_filter", "content_policy_violation") or "content management policy" in message
    error = _error(body)
    metadata = error.get("metadata") if isinstance(error, dict) else None
    if status == 403 and isinstance(metadata, dict):
        is_flagged = is_flagged or bool(metadata.get("flagged_input") or metadata.get("reasons"))
    return Reply(text=message, model=model, finish="refused") if is_flagged else None


def status_error(
    status: int,
    body: Any,
    headers: Mapping[str, str],
    *,
    endpoint: str,
    model: str,
    key_name: str,
    clean: Callable[[str], str],
) -> JudgeError | JudgeStopped:
    """`key_name` says where the key is kept; `clean` removes secrets from the server's words."""
    code, message = code_and_message(body)
    said = clean(message) or "no reason given"
    if code in _NO_CREDITS or status == 402:
        return JudgeStopped(
            f"no credits left at {endpoint} ({clean(code) or status}); top up the account of {key_name}"
        )
    if status in (401, 403):
        who = f"the key in {key_name}" if key_name else "a request without key (set judges.openai.key_env)"
        # what a server says of a wrong key is not repeated: some repeat the key, in parts
        why = f"{status}: {said}" if status == 403 and message else str(status)
        return JudgeStopped(f"{endpoint} does not accept {who} for model '{model}' ({why}); check that key")
    if status == 404:
        return JudgeStopped(f"{endpoint} does not know model '{model}' or is no /chat/completions endpoint: {said}")
    if 300 <= status < 400:
        where = clean(headers.get("location", "")) or "elsewhere"
        return JudgeStopped(
            f"{endpoint} redirects to {where} ({status}), which is not followed; if you trust that address, give it as "
            "judges.openai.base_url"
        )
    if status in _TRY_AGAIN or status >= 500:
        is_unpaid, is_overloaded = not _is_charged(body), code == "overloaded_error"
        return JudgeRetry(
            f"HTTP {status}: {said}",
            retry_after_s=retry_after_s(headers, now=time.time()),
            is_overload=is_overloaded or status in _OVERLOAD,
            is_turned_away=is_unpaid and (is_overloaded or status in _TURNED_AWAY),
            is_unpaid=is_unpaid,
        )
    return JudgeRejected(f"HTTP {status}: {said}")


def code_and_message(body: Any) -> tuple[str, str]:
    """Code (or type) and message of an error body, in any server's form."""
    error = _error(body)
    if not isinstance(error, dict):
        return "", str(error or "")
    codes = [str(error.get(field) or "") for field in ("code", "type")]
    code = next((c for c in codes if c in _NO_CREDITS), codes[0] or codes[1])
    inner = error.get("innererror")
    if isinstance(inner, dict) and inner.get("code") == "ResponsibleAIPolicyViolation":
        code = "content_filter"
    return code, str(error.get("message") or error.get("detail") or "")


def _choice(body: Any) -> dict[str, Any] | None:
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, dict) else None


def _stated_status(error: Any) -> int | None:
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    if isinstance(code, str) and re.fullmatch(r"[3-5]\d\d", code, re.ASCII):
        code = int(code)
    return code if isinstance(code, int) and 300 <= code < 600 else None


def _is_charged(body: Any) -> bool:
    """Whether a body without a reply reports tokens that may be billed."""
    usage = body.get("usage") if isinstance(body, dict) else None
    return isinstance(usage, dict) and any(
        isinstance(value, int | float) and not isinstance(value, bool) and value > 0 for value in usage.values()
    )


def _is_nothing(body: dict[str, Any], message: dict[str, Any], *, is_ended: bool) -> bool:
    """Whether an empty reply holds no thought and no tokens."""
    if any(message.get(field) for field in ("reasoning", "reasoning_content", "tool_calls")):
        return False
    usage = body.get("usage")
    n_output = usage.get("completion_tokens", usage.get("output_tokens")) if isinstance(usage, dict) else None
    return n_output == 0 if n_output is not None else not is_ended


def _error(body: Any) -> Any:
    if isinstance(body, list) and len(body) == 1:  # Google's
        body = body[0]
    return body.get("error", body) if isinstance(body, dict) else body


def _text(content: Any) -> str:
    if isinstance(content, list):  # a list of typed parts, of which reasoning may be one
        parts = [part for part in content if isinstance(part, dict) and part.get("type", "text") in _TEXT_PARTS]
        return "".join(str(part.get("text") or "") for part in parts)
    return content if isinstance(content, str) else ""


def _finish(reason: Any) -> Literal["stop", "length", "refused"]:
    if reason in ("length", "max_tokens"):
        return "length"
    return "refused" if reason in ("content_filter", "refusal", "sensitive") else "stop"


def read_usage(usage: Any, price: Price) -> Usage:
    """Tokens and cost; a cost stated by the endpoint precedes `price`."""
    if not isinstance(usage, dict):
        is_free = price(input_tokens=1, output_tokens=1) == 0.0
        return Usage(usd=0.0 if is_free else None)
    details = usage.get("prompt_tokens_details", usage.get("input_tokens_details"))
    n_input = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
    n_output = _count(usage.get("completion_tokens", usage.get("output_tokens")))
    if n_input:  # some count what was thought in the total alone, and charge it as output
        n_output = max(n_output, _count(usage.get("total_tokens")) - n_input)
    n_cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    cost = usage.get("cost")
    if isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < _MOST_COUNT:
        usd: float | None = float(cost)
    else:
        usd = price(input_tokens=n_input, output_tokens=n_output, cached_tokens=n_cached)
    return Usage(input_tokens=n_input, output_tokens=n_output, cached_tokens=n_cached, usd=usd)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_COUNT else 0


def _logprobs(logprobs: Any) -> tuple[tuple[str, Mapping[str, float]], ...] | None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or not content:
        return None
    tokens = []
    for item in content:
        if not isinstance(item, dict):
            return None
        others = item.get("top_logprobs")
        seen = [item, *(others if isinstance(others, list) else ())]
        tokens.append((str(item.get("token", "")), dict(filter(None, map(_alternative, seen)))))
    return tuple(tokens)


def _alternative(item: Any) -> tuple[str, float] | None:
    logprob: Any = item.get("logprob") if isinstance(item, dict) else None
    if not isinstance(logprob, int | float) or isinstance(logprob, bool) or not abs(logprob) < _MOST_COUNT:
        return None
    return str(item.get("token", "")), float(logprob)
