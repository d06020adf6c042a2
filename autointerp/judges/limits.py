"""How hard an endpoint is pressed: concurrency, retries, shared pauses, and when to give it up.

A `Limiter` stands before one endpoint. It takes a coroutine function that makes one attempt and knows nothing of
requests, prices or journals. Adaptive concurrency belongs here later; the slot is the place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from autointerp.errors import JudgeRejected, JudgeRetry, JudgeStopped, RunStopped
from autointerp.seeds import unit_hash

__all__ = ["Limiter", "RetrySchedule"]

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """When a failed attempt is repeated, and when the endpoint counts as dead.

    The n-th retry waits `first_delay_s * 2**(n-1)`, at most `max_delay_s`, times a factor in [0.5, 1.5) that is a
    hash of the request. When the server names a pause (Retry-After), all requests keep it, and the attempt is not
    held against the request until `max_pauses` of them. A server that asks for more than `max_pause_s` stops the run.
    `n_dead` connection failures in a row over at least `dead_after_s` stop the run, and so do `n_lost` requests in
    a row that failed for good (refused ones only as long as the endpoint has answered nothing yet).
    """

    max_attempts: int = 6
    first_delay_s: float = 0.5
    max_delay_s: float = 30.0
    max_pauses: int = 60
    max_pause_s: float = 600.0
    n_dead: int = 5
    dead_after_s: float = 4.0
    n_lost: int = 10


class Limiter:
    """One endpoint's slots and its health. `endpoint` is its name in messages."""

    def __init__(self, *, endpoint: str, n_concurrent: int, schedule: RetrySchedule) -> None:
        self._endpoint, self._schedule = endpoint, schedule
        self._slots = asyncio.Semaphore(n_concurrent)
        self._resume_at = 0.0
        self._n_unreached, self._unreached_since, self._n_lost = 0, 0.0, 0
        self._has_answered = False
        self._stopped = asyncio.Event()
        self._reason: RunStopped | None = None

    def stop(self, reason: RunStopped) -> None:
        """Let nothing more be sent: whoever waits raises `reason`. What is in flight may finish."""
        if self._reason is None:
            self._reason = reason
            self._stopped.set()

    def raise_if_stopped(self) -> None:
        if self._reason is not None:
            raise type(self._reason)(str(self._reason))

    async def run(self, attempt: Callable[[], Awaitable[Answer]], *, key: str) -> Answer:
        """Make attempts until one succeeds; `key` names the request and decides its jitter.

        A request keeps its slot until it is over, so trouble slows the run down instead of spreading over all of it.
        Raises JudgeRetry (the last one) when tries are used up, JudgeRejected at once, RunStopped when the endpoint
        is given up here or anywhere else.
        """
        patience = _Patience(self._schedule, key)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(JudgeRetry),
            stop=patience.is_over,
            wait=patience.delay_s,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            async with self._slots:
                answer = await retrying(self._attempt, attempt, patience)
        except (JudgeRetry, JudgeRejected) as error:
            self._count_lost(error)
            raise
        self.note_answer()
        return answer

    def note_answer(self) -> None:
        """The endpoint has answered, now or in an earlier sitting of the run."""
        self._has_answered, self._n_lost = True, 0

    async def _attempt(self, attempt: Callable[[], Awaitable[Answer]], patience: _Patience) -> Answer:
        while (pause_s := self._resume_at - time.monotonic()) > 0:
            # spread the restart over a tenth of the pause, so that not all come back in one moment
            await self._sleep(pause_s * (1.0 + 0.1 * unit_hash("restart", patience.key)))
        self.raise_if_stopped()
        try:
            answer = await attempt()
        except JudgeRetry as error:
            patience.count(error)
            self._count_failure(error)
            raise
        except RunStopped as reason:
            self.stop(reason)
            raise
        except JudgeRejected:
            self._n_unreached = 0
            raise
        self._n_unreached = 0
        return answer

    async def _sleep(self, delay_s: float) -> None:
        """Sleep, unless the run is stopped meanwhile."""
        try:
            await asyncio.wait_for(self._stopped.wait(), timeout=delay_s)
        except TimeoutError:
            return
        self.raise_if_stopped()

    def _count_failure(self, error: JudgeRetry) -> None:
        now, schedule = time.monotonic(), self._schedule
        if error.retry_after_s is not None:
            if error.retry_after_s > schedule.max_pause_s:
                self._give_up(f"asks for a pause of {error.retry_after_s:.0f} s; run the same command again after it")
            self._resume_at = max(self._resume_at, now + error.retry_after_s)
        if not error.is_connection:
            self._n_unreached = 0
            return
        if self._n_unreached == 0:
            self._unreached_since = now
        self._n_unreached += 1
        if self._n_unreached >= schedule.n_dead and now - self._unreached_since >= schedule.dead_after_s:
            self._give_up(f"cannot be reached ({error}); check its address and that it runs")

    def _count_lost(self, error: JudgeRetry | JudgeRejected) -> None:
        if isinstance(error, JudgeRejected) and self._has_answered:
            return  # the endpoint works; it is the request that is at fault
        self._n_lost += 1
        if self._n_lost >= self._schedule.n_lost:
            self._give_up(f"failed on {self._n_lost} requests in a row, last with: {error}")

    def _give_up(self, why: str) -> None:
        self.stop(JudgeStopped(f"judge at {self._endpoint} {why}; what is done is kept"))
        self.raise_if_stopped()


class _Patience:
    """One request's tries so far, counted apart by whether the server asked for a pause."""

    def __init__(self, schedule: RetrySchedule, key: str) -> None:
        self._schedule, self.key = schedule, key
        self._n_failed, self._n_pauses = 0, 0
        self._pause_s: float | None = None

    def count(self, error: JudgeRetry) -> None:
        self._pause_s = error.retry_after_s
        if self._pause_s is None:
            self._n_failed += 1
        else:
            self._n_pauses += 1

    def is_over(self, _: RetryCallState) -> bool:
        return self._n_failed >= self._schedule.max_attempts or self._n_pauses >= self._schedule.max_pauses

    def delay_s(self, _: RetryCallState) -> float:
        if self._pause_s is not None:  # kept by all before their next attempt; one of 0 s still gets a delay
            return max(0.0, self._schedule.first_delay_s - self._pause_s)
        delay_s = self._schedule.first_delay_s * 2.0 ** min(self._n_failed - 1, 30)
        return min(delay_s, self._schedule.max_delay_s) * (0.5 + unit_hash("jitter", self.key, self._n_failed))
