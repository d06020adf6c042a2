"""What a reply's headers say about rate limits: what is left, when it is refilled, how long to pause.

Read are OpenAI's `x-ratelimit-remaining-requests` and `-reset-requests` (Azure, Groq, ...), Anthropic's
`anthropic-ratelimit-requests-remaining` and `-reset`, and plain `x-ratelimit-remaining` and `-reset`. Servers write a
reset as a duration (`6m0s`, `12ms`), as seconds, as a moment in seconds or milliseconds, or as a date. A time that
cannot be meant (no number, without end, weeks ahead; for a pause also none at all, or in the past) is as good as none
stated: whoever keeps to it would hammer the server or never ask it again.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import datetime

from autointerp.judges.protocol import RateLimits

__all__ = ["parse_reset_s", "read_rate_limits", "retry_after_s"]

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_UNIT_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_A_MOMENT = 1e8
"""A reset larger than this many seconds (three years) is a moment, no duration."""
_LONGEST_S = 7 * 86400.0
"""No limit is refilled later; a time beyond is a mistake."""
_MOST_DIGITS = 15
"""Of a count of what is left."""

_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "requests": (
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ),
    "tokens": (
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ),
}
"""For each kind of limit the headers that say what is left and when it is refilled."""


def read_rate_limits(headers: Mapping[str, str], *, now: float) -> RateLimits | None:
    """The limits that headers state, None where they state none. `now` is the time in seconds since 1970."""
    now = _server_time(headers, now)
    requests_left, requests_reset_s = _read(headers, "requests", now)
    tokens_left, tokens_reset_s = _read(headers, "tokens", now)
    if requests_left is None and tokens_left is None:
        return None
    return RateLimits(requests_left, requests_reset_s, tokens_left, tokens_reset_s)


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """The pause a server asks for, in seconds and above 0, None where it names none that can be kept.

    `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3); else the refill of what is used up.
    """
    now = _server_time(headers, now)
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is not None and (pause_s := _pause_s(value, unit_s, now)) is not None:
            return pause_s
    found = (_read(headers, kind, now) for kind in _NAMES)
    return max((reset_s for left, reset_s in found if left == 0 and reset_s), default=None)


def parse_reset_s(text: str, *, now: float) -> float | None:
    """Seconds until a reset, in any of the spellings in use; None for anything else and for a time weeks ahead."""
    seconds = _seconds_until(text.strip(), now)
    # one that is over, by a clock that goes a little ahead, is a reset all the same
    return max(0.0, seconds) if seconds is not None and seconds <= _LONGEST_S else None


def _seconds_until(text: str, now: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        parts = _PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return sum(float(number) * _UNIT_S[unit] for number, unit in parts)
        try:
            return datetime.fromisoformat(text).timestamp() - now
        except (ValueError, OverflowError, OSError):
            return None
    if not 0.0 <= value < 1e15:
        return None
    if value < _A_MOMENT:
        return value
    return (value / 1e3 if value > _A_MOMENT * 1e3 else value) - now


def _pause_s(value: str, unit_s: float, now: float) -> float | None:
    """A pause as it is spelt, None where it is none that can be kept."""
    try:
        pause_s = float(value) * unit_s
    except ValueError:
        try:
            pause_s = email.utils.parsedate_to_datetime(value).timestamp() - now
        except (ValueError, TypeError, OverflowError, OSError):
            return None
    return pause_s if 0.0 < pause_s <= _LONGEST_S else None


def _server_time(headers: Mapping[str, str], now: float) -> float:
    """The server's own clock, by which it names moments, where it states it (`Date`): ours may be set otherwise."""
    try:
        return email.utils.parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        return now


def _read(headers: Mapping[str, str], kind: str, now: float) -> tuple[int | None, float | None]:
    """What is left of one kind and in how many seconds it is refilled. Azure writes -1 for what it does not know."""
    for remaining, reset in _NAMES[kind]:
        left = headers.get(remaining)
        if left is None or not left.isdecimal() or len(left) > _MOST_DIGITS:
            continue
        return int(left), parse_reset_s(headers.get(reset, ""), now=now)
    return None, None
