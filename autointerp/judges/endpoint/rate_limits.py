"""Rate limits in reply headers (OpenAI's, Anthropic's, plain `x-ratelimit-*`).

Implausible times are ignored: obeying them would hammer the server or never ask it again.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import datetime

from autointerp.judges.judge import RateLimits

__all__ = ["parse_reset_s", "read_rate_limits", "retry_after_s"]

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_UNIT_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_A_MOMENT = 1e8
"""Three years in seconds: a larger reset is a moment."""
_LONGEST_S = 7 * 86400.0
"""Longest plausible time to a refill."""
_MOST_DIGITS = 15
"""Longest count of what is left."""

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
"""Headers that say what is left and when it is refilled."""


def read_rate_limits(headers: Mapping[str, str], *, now: float) -> RateLimits | None:
    """Stated limits; None without any. `now` is in seconds since 1970."""
    now = _server_time(headers, now)
    requests_left, requests_reset_s = _read(headers, "requests", now)
    tokens_left, tokens_reset_s = _read(headers, "tokens", now)
    if requests_left is None and tokens_left is None:
        return None
    return RateLimits(requests_left, requests_reset_s, tokens_left, tokens_reset_s)


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Requested pause in seconds, above 0; None without a plausible one.

    From `retry-after-ms` or `Retry-After` (RFC 9110, 10.2.3), else the refill of what is used up.
    """
    now = _server_time(headers, now)
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is not None and (pause_s := _pause_s(value, unit_s, now)) is not None:
            return pause_s
    limits = (_read(headers, kind, now) for kind in _NAMES)
    return max((reset_s for left, reset_s in limits if left == 0 and reset_s), default=None)


def parse_reset_s(text: str, *, now: float) -> float | None:
    """Seconds until a reset; None for unknown spellings and times weeks ahead."""
    seconds = _seconds_until(text.strip(), now)
    # a moment just past, by a fast clock, is still a reset
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
    try:
        pause_s = float(value) * unit_s
    except ValueError:
        try:
            pause_s = email.utils.parsedate_to_datetime(value).timestamp() - now
        except (ValueError, TypeError, OverflowError, OSError):
            return None
    return pause_s if 0.0 < pause_s <= _LONGEST_S else None


def _server_time(headers: Mapping[str, str], now: float) -> float:
    """Time by the `Date` header; our clock may differ."""
    try:
        return email.utils.parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        return now


def _read(headers: Mapping[str, str], kind: str, now: float) -> tuple[int | None, float | None]:
    for remaining, reset in _NAMES[kind]:
        left = headers.get(remaining)
        # Azure writes -1 for unknown
        if left is None or not left.isdecimal() or len(left) > _MOST_DIGITS:
            continue
        return int(left), parse_reset_s(headers.get(reset, ""), now=now)
    return None, None
