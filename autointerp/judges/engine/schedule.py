"""When a failed attempt is repeated and for how long: the settings, and one request's tries held against them.

Delays are in seconds and are hashes of the request, so that they are the same every time. Knows nothing of endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenacity import RetryCallState

from autointerp.errors import JudgeRetry
from autointerp.seeds import unit_hash

__all__ = ["Patience", "RetrySchedule"]


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """When a failed attempt is repeated, and when the endpoint counts as dead.

    A request has `max_attempts` tries. The n-th retry waits `first_delay_s * 2**(n-1)`, at most `max_delay_s`, times
    a factor in [0.5, 1.5) that is a hash of the request. When the server names a pause (Retry-After), all requests
    keep it, and the attempt is not held against the request until `max_pauses` of them. When the server turns one away
    and names no pause, all are sent less fast (`pace.Pace`), and it is held against the request only when
    `max_turned_away` tries ended so: some are too large for what an endpoint allows. What the run as a whole puts up
    with is said in `breaker.Breaker`: `max_pause_s`, `n_dead`, `dead_after_s`, `n_lost`, `n_silent`,
    `silent_after_s`.
    """

    max_attempts: int = 6
    first_delay_s: float = 0.5
    max_delay_s: float = 30.0
    max_pauses: int = 60
    max_turned_away: int = 12
    max_pause_s: float = 600.0
    n_dead: int = 5
    dead_after_s: float = 4.0
    n_lost: int = 10
    n_silent: int = 3
    silent_after_s: float = 240.0

    @property
    def probe_delay_s(self) -> float:
        """Between two tries to reach an endpoint: `n_dead` of them take `dead_after_s`."""
        return self.dead_after_s / max(1, self.n_dead - 1)


class Patience:
    """One request's tries so far, counted apart by whether the server asked for a pause, or turned them away."""

    def __init__(self, schedule: RetrySchedule, key: str) -> None:
        self._schedule, self.key = schedule, key
        self._n_failed, self._n_pauses, self.n_turned_away = 0, 0, 0
        self._pause_s: float | None = None
        self.is_turned_away = False
        """Whether the last try was, without a pause."""

    @property
    def has_tried(self) -> bool:
        return self._n_failed + self._n_pauses + self.n_turned_away > 0

    def count(self, error: JudgeRetry) -> None:
        """One more try has failed."""
        self._pause_s = error.retry_after_s
        self.is_turned_away = error.is_turned_away and error.retry_after_s is None
        if self.is_turned_away:
            self.n_turned_away += 1
        elif self._pause_s is None:
            self._n_failed += 1
        else:
            self._n_pauses += 1

    def is_over(self, _: RetryCallState) -> bool:
        """Whether the request has used up its tries (a stop condition as tenacity wants it)."""
        schedule = self._schedule
        return (
            self._n_failed >= schedule.max_attempts
            or self._n_pauses >= schedule.max_pauses
            or self.n_turned_away >= schedule.max_turned_away
        )

    def delay_s(self, _: RetryCallState) -> float:
        """How long this request waits before its next try (a wait as tenacity wants it)."""
        if self.is_turned_away:  # all wait for the pace
            return 0.0
        if self._pause_s is not None:  # kept by all before their next attempt; one of 0 s still gets a delay
            return max(0.0, self._schedule.first_delay_s - self._pause_s)
        delay_s = self._schedule.first_delay_s * 2.0 ** min(self._n_failed - 1, 30)
        return min(delay_s, self._schedule.max_delay_s) * (0.5 + unit_hash("jitter", self.key, self._n_failed))
