"""Load on one endpoint: attempts wait for a place, failed ones are repeated."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type

from autointerp.errors import JudgeRejected, JudgeRetry, RunStopped
from autointerp.judges.engine.breaker import Breaker
from autointerp.judges.engine.concurrency import START, Ending, Slots, Turn
from autointerp.judges.engine.pace import Pace
from autointerp.judges.engine.quota import Quota
from autointerp.judges.engine.schedule import Patience, RetrySchedule
from autointerp.judges.engine.warmup import Warmup
from autointerp.judges.judge import RateLimits

__all__ = ["Limiter", "RetrySchedule", "Waiting"]

Answer = TypeVar("Answer")
Meter = Callable[[Any], tuple[RateLimits | None, int]]


class Waiting(NamedTuple):
    """Why no answer comes, and seconds until the next attempt."""

    reason: str
    pause_s: float


@dataclass(slots=True)
class _Place:
    """Whether a request holds a place between two tries."""

    is_held: bool = False


class Limiter:
    """Access to one endpoint, named `endpoint` in messages."""

    def __init__(
        self,
        *,
        endpoint: str,
        n_concurrent: int,
        schedule: RetrySchedule,
        meter: Meter = lambda _: (None, 0),
        is_warmed_up: bool = False,
        n_start: int | None = None,
        n_sharing: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`meter` reads remaining limits and used tokens off an answer. `is_warmed_up`: the first request of each
        prefix goes alone. `n_sharing`: processes that ask the endpoint, each its part of `n_concurrent`.
        """
        self._schedule, self._meter = schedule, meter
        self._quota = Quota(n_sharing=n_sharing, clock=clock)
        self._pace = Pace(first_delay_s=schedule.first_delay_s, max_delay_s=schedule.max_delay_s, clock=clock)
        self._slots = Slots(
            ceiling=n_concurrent // n_sharing,
            quota=self._quota,
            pace=self._pace,
            start=max(1, (n_start or START) // n_sharing),
        )
        self._breaker = Breaker(endpoint=endpoint, schedule=schedule, on_stop=self._slots.open_wide, clock=clock)
        self._warmup = Warmup() if is_warmed_up else None
        self._failing: JudgeRetry | None = None

    @property
    def limit(self) -> int:
        return self._slots.limit

    @property
    def waiting(self) -> Waiting | None:
        """Reason why no answer comes; None while all is well."""
        (pause_s, why), hold_s = self._breaker.pause, self._quota.hold_s()
        if hold_s > pause_s:
            return Waiting("the endpoint says that its limit for this window is used up", hold_s)
        if pause_s > 0:
            return Waiting(why, pause_s)
        return None if self._failing is None else Waiting(str(self._failing), 0.0)

    def stop(self, reason: RunStopped) -> None:
        """Waiting requests raise `reason`; those in flight may finish."""
        self._breaker.stop(reason)

    @property
    def is_stopped(self) -> bool:
        return self._breaker.is_stopped

    def raise_if_stopped(self) -> None:
        self._breaker.raise_if_stopped()

    def note_earlier_answer(self) -> None:
        """Note an answer from an earlier session or run."""
        self._breaker.note_earlier_answer()

    async def run(self, attempt: Callable[[], Awaitable[Answer]], *, key: str, prefix: str | None = None) -> Answer:
        """First success. `key` decides the jitter; `prefix` is the prompt's shared beginning.

        Raises JudgeRetry when attempts are used up, JudgeRejected at once, RunStopped when the endpoint is given up.
        """
        patience, place = Patience(self._schedule, key), _Place()
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(JudgeRetry),
            stop=patience.is_over,
            wait=patience.delay_s,
            sleep=self._breaker.sleep,
            reraise=True,
        )
        try:
            return await retrying(self._one, attempt, patience, place, prefix)
        except (JudgeRetry, JudgeRejected) as error:
            self._breaker.note_lost(error)
            raise
        finally:
            if place.is_held:
                self._slots.give_back(0, Ending.UNSENT)

    async def _one(
        self, attempt: Callable[[], Awaitable[Answer]], patience: Patience, place: _Place, prefix: str | None
    ) -> Answer:
        if self._warmup is None or prefix is None:
            return await self._attempt(attempt, patience, place)
        name = await self._warmup.wait(prefix)
        try:
            return await self._attempt(attempt, patience, place)
        finally:
            self._warmup.finish(name)

    async def _attempt(self, attempt: Callable[[], Awaitable[Answer]], patience: Patience, place: _Place) -> Answer:
        was_held, place.is_held, ending = place.is_held, False, Ending.UNSENT
        turn = Turn.BEHIND_ONE if patience.is_turned_away else Turn.FIRST if patience.has_tried else Turn.LAST
        number = await (self._slots.take_again() if was_held else self._slots.take(turn))
        try:
            await self._breaker.wait_out_pause(patience.key)
            self._breaker.raise_if_stopped()
            answer = await attempt()
            ending, self._failing = Ending.ANSWERED, None
            self._breaker.note_answer()
            self._pace.note_answer(number)
            limits, n_tokens = self._meter(answer)
            self._quota.note(number, limits, n_tokens=n_tokens)
            return answer
        except JudgeRetry as error:
            ending, self._failing = _ending(error), error
            # a request keeps its place between attempts, so that trouble slows the run instead of spreading; only after
            # an overload it goes without
            place.is_held = ending is Ending.FAILED
            patience.count(error)
            if patience.is_turned_away:
                is_again = patience.n_turned_away > 1
                is_telling = self._pace.note_turned_away(number, patience.key, is_again=is_again)
                ending = Ending.OVERLOADED if is_telling else Ending.FAILED
            if self._breaker.note_failure(error):
                self._slots.probe()
            raise
        except JudgeRejected:
            ending = Ending.FAILED
            self._breaker.note_rejected()
            raise
        except RunStopped as reason:
            self._breaker.stop(reason)
            raise
        finally:
            if place.is_held:
                self._slots.note(number, ending)
            else:
                self._slots.give_back(number, ending)


def _ending(error: JudgeRetry) -> Ending:
    if error.is_connection:
        return Ending.UNREACHED
    return Ending.OVERLOADED if error.is_overload or error.retry_after_s is not None else Ending.FAILED
