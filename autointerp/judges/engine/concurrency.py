"""Learnt number of attempts under way at one endpoint.

It doubles each round-trip until the first overload, then rises by equal steps and halves at most once per round-trip
(Chiu & Jain 1989; slow start as in TCP, RFC 5681).
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum

from autointerp.judges.engine.pace import Pace
from autointerp.judges.engine.quota import Quota

__all__ = ["START", "Ending", "Slots", "Turn"]

START = 8
"""First number of places."""
_STEPS = 32
"""Round-trips from nothing to the ceiling."""
_FALL_FACTOR = 0.5


class Ending(Enum):
    """How an attempt ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    """For a reason unrelated to load; the endpoint is reachable."""
    OVERLOADED = "overloaded"
    UNREACHED = "unreached"
    UNSENT = "unsent"


class Turn(Enum):
    """Place in the queue."""

    FIRST = "first"
    """After others that are to be first."""
    BEHIND_ONE = "behind one"
    LAST = "last"


class Slots:
    """Places for attempts, first come first served, repeated ones first."""

    def __init__(
        self, *, ceiling: int, quota: Quota | None = None, pace: Pace | None = None, start: int = START
    ) -> None:
        """At most `ceiling` places; `start` at first."""
        self._ceiling, self._quota, self._pace = max(1, ceiling), quota or Quota(), pace
        self._limit = float(min(start, self._ceiling))
        self._is_slow_start, self._is_probing, self._is_open = True, False, False
        self._n_taken, self._n_given, self._last_fall, self._probed_from = 0, 0, 0, 0
        self._repeated: deque[asyncio.Future[int]] = deque()
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int:
        """Attempts allowed under way now."""
        return 1 if self._is_probing else int(self._limit)

    @property
    def n_taken(self) -> int:
        return self._n_taken

    async def take(self, turn: Turn = Turn.LAST) -> int:
        """Number of an attempt, once it has a place. Call `give_back` exactly once for it."""
        if not self._repeated and not self._waiting and self._has_room():
            return self._give()
        place: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if turn is Turn.BEHIND_ONE:
            self._waiting.insert(1, place)
        else:
            (self._repeated if turn is Turn.FIRST else self._waiting).append(place)
        self._hand_out()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give_back(place.result(), Ending.UNSENT)
            raise

    async def take_again(self) -> int:
        """Number of another attempt, in a held place if still allowed."""
        if self._is_open or (self._n_taken <= self.limit and self._hold_s() == 0.0):
            return self._number()
        self._n_taken -= 1
        return await self.take(Turn.FIRST)

    def give_back(self, number: int, ending: Ending) -> None:
        """End attempt `number` and free its place."""
        self.note(number, ending)
        self._n_taken -= 1
        self._hand_out()

    def note(self, number: int, ending: Ending) -> None:
        """End attempt `number` but keep its place."""
        if self._pace is not None:
            self._pace.note_end()
        if ending in (Ending.ANSWERED, Ending.FAILED) and number > self._probed_from:
            self._is_probing = False
        if ending is Ending.ANSWERED and self._n_taken >= self.limit:
            # slow start: a place per answer doubles their number each round-trip
            step = 1.0 if self._is_slow_start else max(1.0, self._ceiling / _STEPS) / self._limit
            self._limit = min(float(self._ceiling), self._limit + step)
        elif ending is Ending.OVERLOADED and number > self._last_fall:
            # those sent before the last fall ran into the crowd that it has thinned already
            self._last_fall = self._n_given
            self._limit = max(1.0, self._limit * _FALL_FACTOR)
            self._is_slow_start = False

    def probe(self) -> None:
        """One attempt at a time, until a later one is answered."""
        self._is_probing, self._probed_from = True, self._n_given

    def open_wide(self) -> None:
        """Let everybody through, to see that the run is over."""
        self._is_open = True
        if self._timer is not None:
            self._timer.cancel()
        self._hand_out()

    def _has_room(self) -> bool:
        return self._is_open or (self._n_taken < self.limit and self._hold_s() == 0.0)

    def _hold_s(self) -> float:
        return max(self._quota.hold_s(), self._pace.hold_s() if self._pace is not None else 0.0)

    def _give(self) -> int:
        self._n_taken += 1
        return self._number()

    def _number(self) -> int:
        self._n_given += 1
        self._quota.n_sent = self._n_given
        if self._pace is not None:
            self._pace.note_sent(self._n_given, is_alone=self._n_taken == 1)
        return self._n_given

    def _hand_out(self) -> None:
        while queue := self._repeated or self._waiting:
            if queue[0].done():  # whoever waited was cancelled
                queue.popleft()
            elif self._has_room():
                queue.popleft().set_result(self._give())
            else:
                self._wake_after_hold()
                return

    def _wake_after_hold(self) -> None:
        if self._timer is not None:
            self._timer.cancel()  # what holds back may have changed
            self._timer = None
        # where quota or pace holds back, nobody may be left to give a place back: a timer asks again
        if self._n_taken < self.limit:
            self._timer = asyncio.get_running_loop().call_later(self._hold_s(), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._hand_out()
