"""Schedule of repeated attempts."""

from __future__ import annotations

from dataclasses import dataclass

from tenacity import RetryCallState

from autointerp.errors import JudgeRetry
from autointerp.seeds import unit_hash

__all__ = ["Patience", "RetrySchedule"]


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Settings for repeating attempts; `breaker.Breaker` explains those for giving up.

    The n-th retry of `max_attempts - 1` waits `first_delay_s * 2**(n-1)`, at most `max_delay_s`, times a factor in
    [0.5, 1.5) hashed from the request. Pauses named by the server (`max_pauses`) and other refusals (`max_turned_away`)
    count apart.
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
        """Time between `n_dead` attempts within `dead_after_s`."""
        return self.dead_after_s / max(1, self.n_dead - 1)


class Patience:
    def __init__(self, schedule: RetrySchedule, key: str) -> None:
        self._schedule, self.key = schedule, key
        self._n_failed, self._n_pauses, self.n_turned_away = 0, 0, 0
        self._pause_s: float | None = None
        self.is_turned_away = False
        """Whether the last attempt was turned away without a pause."""

    @property
    def has_tried(self) -> bool:
        return self._n_failed + self._n_pauses + self.n_turned_away > 0

    def count(self, error: JudgeRetry) -> None:
        self._pause_s = error.retry_after_s
        self.is_turned_away = error.is_turned_away and error.retry_after_s is None
        if self.is_turned_away:
            self.n_turned_away += 1
        elif self._pause_s is None:
            self._n_failed += 1
        else:
            self._n_pauses += 1

    def is_over(self, _: RetryCallState) -> bool:
        """Stop condition for tenacity."""
        schedule = self._schedule
        return (
            self._n_failed >= schedule.max_attempts
            or self._n_pauses >= schedule.max_pauses
            or self.n_turned_away >= schedule.max_turned_away
        )

    def delay_s(self, _: RetryCallState) -> float:
        """Wait in seconds before the next attempt, for tenacity."""
        if self.is_turned_away:  # all wait for the pace
            return 0.0
        if self._pause_s is not None:  # kept by all before their next attempt; one of 0 s still gets a delay
            return max(0.0, self._schedule.first_delay_s - self._pause_s)
        # bounded, since powers of two overflow
        delay_s = self._schedule.first_delay_s * 2.0 ** min(self._n_failed - 1, 30)
        return min(delay_s, self._schedule.max_delay_s) * (0.5 + unit_hash("jitter", self.key, self._n_failed))
