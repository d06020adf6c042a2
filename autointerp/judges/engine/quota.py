"""Requests and tokens left in an endpoint's current window, by its headers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from autointerp.judges.judge import RateLimits

__all__ = ["Quota"]

_MAX_HOLD_S = 60.0
"""Longest wait; after it a 429 tells whether more is allowed."""


@dataclass(frozen=True, slots=True)
class _Window:
    """`left` after attempt `number`, until `ends_at`."""

    left: float
    number: int
    ends_at: float


class Quota:
    """Unbounded without headers. `n_sent` is the last attempt's number, from 1."""

    def __init__(self, *, n_sharing: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        """`n_sharing`: processes that share the endpoint's limits evenly."""
        self._clock, self._n_sharing = clock, n_sharing
        self.n_sent = 0
        self._requests: _Window | None = None
        self._tokens: _Window | None = None
        self._n_metered, self._metered_tokens = 0, 0

    def note(self, number: int, limits: RateLimits | None, *, n_tokens: int) -> None:
        """Note the limits in the reply to attempt `number`."""
        self._n_metered += 1
        self._metered_tokens += n_tokens
        if limits is not None:
            self._requests = self._newer(self._requests, number, limits.requests_left, limits.requests_reset_s)
            self._tokens = self._newer(self._tokens, number, limits.tokens_left, limits.tokens_reset_s)

    def hold_s(self) -> float:
        """Seconds until the next attempt, its tokens taken as the mean so far."""
        if self._requests is None and self._tokens is None:
            return 0.0
        mean_tokens = self._metered_tokens / max(1, self._n_metered)
        return max(self._hold_s(self._requests, 1.0), self._hold_s(self._tokens, mean_tokens))

    def _newer(self, known: _Window | None, number: int, left: int | None, reset_s: float | None) -> _Window | None:
        if left is None or reset_s is None:
            return known
        now = self._clock()
        # replies to earlier attempts counted fewer attempts
        if known is not None and number < known.number and now < known.ends_at:
            return known
        return _Window(left / self._n_sharing, number, now + min(max(0.0, reset_s), _MAX_HOLD_S))

    def _hold_s(self, window: _Window | None, cost: float) -> float:
        if window is None:
            return 0.0
        n_since = self.n_sent - window.number  # the reply cannot know of these
        if window.left - n_since * cost >= cost:
            return 0.0
        return max(0.0, window.ends_at - self._clock())
