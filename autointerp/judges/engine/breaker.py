"""Health of one endpoint: pauses it and finally ends the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from copy import copy

from autointerp.errors import JudgeRejected, JudgeRetry, JudgeStopped, RunStopped
from autointerp.judges.engine.schedule import RetrySchedule
from autointerp.seeds import unit_hash

__all__ = ["Breaker"]

_SPREAD = 0.1
"""Share of a pause over which restarts spread."""


class Breaker:
    """Circuit breaker for one endpoint, named `endpoint` in messages. The run stops when

    - a pause, or pauses in a row without an answer, exceed `max_pause_s`,
    - `n_dead` attempts in a row over at least `dead_after_s` did not reach it,
    - `n_lost` requests in a row failed for good (rejected ones count only before the first answer),
    - `n_silent` attempts in a row failed over at least `silent_after_s`, requested pauses excluded.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        schedule: RetrySchedule,
        on_stop: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_stop` is called once, when the run stops."""
        self._endpoint, self._schedule, self._on_stop, self._clock = endpoint, schedule, on_stop, clock
        self._resume_at, self._spread_s, self._why = 0.0, 0.0, ""
        self._n_unreached, self._unreached_since = 0, 0.0
        self._n_failed, self._failing_since = 0, 0.0
        self._n_lost = 0
        self._pausing_since: float | None = None
        self._has_answered = False
        self._stopped = asyncio.Event()
        self._reason: RunStopped | None = None

    def stop(self, reason: RunStopped) -> None:
        """Waiting requests raise `reason`; those in flight may finish."""
        if self._reason is None:
            self._reason = reason
            self._stopped.set()
            self._on_stop()

    @property
    def is_stopped(self) -> bool:
        return self._reason is not None

    def raise_if_stopped(self) -> None:
        if self._reason is not None:
            raise copy(self._reason)  # one error for each who waits: a traceback is of one

    async def sleep(self, delay_s: float) -> None:
        """Raises the reason if the run stops meanwhile."""
        try:
            await asyncio.wait_for(self._stopped.wait(), timeout=delay_s)
        except TimeoutError:
            return
        self.raise_if_stopped()

    @property
    def pause(self) -> tuple[float, str]:
        """Seconds left of a pause, and its reason."""
        return max(0.0, self._resume_at - self._clock()), self._why

    async def wait_out_pause(self, key: str) -> None:
        """Wait for the shared pause and a spread hashed from `key`."""
        while (delay_s := self._resume_at + self._spread_s * unit_hash("restart", key) - self._clock()) > 0:
            await self.sleep(delay_s)

    def note_answer(self) -> None:
        self._has_answered = True
        self._n_lost = self._n_unreached = self._n_failed = 0
        self._pausing_since = None

    def note_earlier_answer(self) -> None:
        self._has_answered = True

    def note_rejected(self) -> None:
        # a rejection shows that the endpoint is there
        self._n_unreached = 0

    def note_failure(self, error: JudgeRetry) -> bool:
        """Whether to send one attempt at a time for now. Raises JudgeStopped to end the run."""
        if error.retry_after_s is not None:
            self._pause(error.retry_after_s, error)
        if error.is_connection:
            self._count_unreached(error)
        else:
            self._n_unreached = 0
            self._count_silence(error)
        return error.is_connection or error.retry_after_s is not None

    def note_lost(self, error: JudgeRetry | JudgeRejected) -> None:
        """Raises JudgeStopped when too many requests failed for good."""
        if isinstance(error, JudgeRejected) and self._has_answered:
            return  # the endpoint works; it is the request that is at fault
        self._n_lost += 1
        if self._n_lost >= self._schedule.n_lost:
            self._give_up(f"failed on {self._n_lost} requests in a row, last with: {error}")

    def _pause(self, pause_s: float, error: JudgeRetry) -> None:
        schedule, now = self._schedule, self._clock()
        if pause_s > schedule.max_pause_s:
            self._give_up(f"asks for a pause of {pause_s:.0f} s; run the same command again after it")
        if self._pausing_since is None:
            self._pausing_since = now
        if now - self._pausing_since > schedule.max_pause_s:
            self._give_up(f"asks for one pause after the other and answers nothing; try again later ({error})")
        self._open_until(now + pause_s, spread_s=pause_s * _SPREAD, why=str(error))
        self._n_failed = 0

    def _count_unreached(self, error: JudgeRetry) -> None:
        schedule, now = self._schedule, self._clock()
        if self._n_unreached == 0:
            self._unreached_since = now
        self._n_unreached += 1
        if self._n_unreached >= schedule.n_dead and now - self._unreached_since >= schedule.dead_after_s:
            self._give_up(f"cannot be reached ({error}); check its address and that it runs")
        self._open_until(now + schedule.probe_delay_s, spread_s=0.0, why=str(error))

    def _count_silence(self, error: JudgeRetry) -> None:
        schedule, now = self._schedule, self._clock()
        if self._n_failed == 0:
            self._failing_since = now
        self._n_failed += 1
        failing_s = now - self._failing_since
        if self._n_failed >= schedule.n_silent and failing_s >= schedule.silent_after_s:
            self._give_up(f"has answered nothing for {failing_s:.0f} s, {self._n_failed} tries failed: {error}")

    def _open_until(self, moment: float, *, spread_s: float, why: str) -> None:
        if moment > self._resume_at:
            self._resume_at, self._spread_s, self._why = moment, spread_s, why

    def _give_up(self, why: str) -> None:
        self.stop(JudgeStopped(f"judge at {self._endpoint} {why}; what is done is kept"))
        self.raise_if_stopped()
