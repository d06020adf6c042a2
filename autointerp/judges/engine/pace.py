"""How fast attempts may follow each other at an endpoint that turns some away and names no pause: it is learnt.

An attempt turned away makes all wait, twice as long each time nothing was answered in between, and sends come one at a
time, that far apart. With the first answer the rate of sending is what the endpoint has answered so far, the waits
included. From then on it rises a little with each answer, faster the more there were in a row, and falls with each
attempt turned away (as in congestion control, a fall by a factor and a convex rise: RFC 9438). Seconds are of the
monotonic clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from autointerp.seeds import unit_hash

__all__ = ["Pace"]

_FALL_FACTOR = 0.9
_EARLY_FALL_FACTOR = 0.7
"""For a fall within `_N_EARLY` answers of the last one: the rate is far too high."""
_N_EARLY = 8
_RISE_FRAC = 1e-3
"""The n-th answer in a row since a fall raises the rate by n times this share of it."""
_FIRST_RISE_FRAC = 0.1
"""Each answer raises a rate that has not been too high yet by this share."""
_RISE_FRAC_PER_S = 0.3
"""No rate rises faster: endpoints count over a second or more, so that a rate too high shows no sooner."""

_LEAST_PER_S = 1 / 60
"""No rate is lower: whether more is taken by now has to be tried."""


class Pace:
    """When the next attempt may be sent: at once, at an endpoint that never turned one away without naming a pause.

    Attempts are numbered from 1 in the order they are sent.
    """

    def __init__(
        self, *, first_delay_s: float, max_delay_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """The first wait is `first_delay_s`, or the time between two sends where it is known; none is longer than
        `max_delay_s`."""
        self._first_delay_s, self._max_delay_s, self._clock = first_delay_s, max_delay_s, clock
        self._per_s = math.inf
        self._wait_s = 0.0
        """Between sends, until one is answered; 0 once one is."""
        self._next_at = -math.inf
        self._n_sent, self._last_fall, self._n_in_a_row = 0, 0, 0
        self._is_first_rise, self._is_held = True, False
        self._n_answered, self._answered_at, self._busy_since, self._ended_at = 0, 0.0, 0.0, 0.0

    def hold_s(self) -> float:
        """Seconds until the next attempt may be sent; 0 for now."""
        hold_s = max(0.0, self._next_at - self._clock())
        self._is_held = self._is_held or hold_s > 0.0
        return hold_s

    def note_sent(self, number: int, *, is_alone: bool) -> None:
        """Attempt `number` is sent. `is_alone`: no other is under way."""
        now = self._clock()
        if is_alone:  # nobody had anything to ask in between, which says nothing of the endpoint
            self._busy_since += max(0.0, now - max(self._ended_at, self._next_at))
        self._n_sent = number
        gap_s = max(self._wait_s, 1.0 / self._per_s)
        if gap_s > 0.0:
            # a timer that is a little late is made up for
            self._next_at = max(self._next_at, now - gap_s) + gap_s

    def note_answer(self, number: int) -> None:
        """Attempt `number` was answered."""
        now = self._clock()
        since_answer_s, self._answered_at = now - self._answered_at, now
        if self._n_answered == 0:
            self._busy_since = now
        self._n_answered += 1
        if number <= self._last_fall:
            return  # sent before the fall: it says nothing of now
        if self._wait_s > 0.0:
            self._wait_s = 0.0
            if self._per_s == math.inf:
                self._per_s = max(_LEAST_PER_S, self._answered_per_s(now))
            self._next_at = min(self._next_at, now + 1.0 / self._per_s)
            self._n_answered = 0
        elif self._is_held:  # a rate that holds nobody back has shown nothing about a higher one
            self._n_in_a_row += 1
            rise_frac = _FIRST_RISE_FRAC if self._is_first_rise else _RISE_FRAC * self._n_in_a_row
            self._per_s *= 1.0 + min(rise_frac, _RISE_FRAC_PER_S * since_answer_s)
        self._is_held = False

    def note_turned_away(self, number: int, key: str, *, is_again: bool = False) -> bool:
        """Attempt `number` was turned away, and no pause named; whether that says anything about how many may be under
        way, which it does not where it is this pace that was too fast. `key` names the request and decides the jitter.
        `is_again`: so it was before, by which the rate does not fall once more, since the request may be at fault.
        """
        now, is_telling = self._clock(), self._wait_s == 0.0 and not self._is_held and not is_again
        if number <= self._last_fall:
            return is_telling  # one of a crowd: all of them are one fall
        if self._wait_s > 0.0:
            self._wait_s *= 2.0
        elif self._per_s == math.inf:
            self._wait_s = self._first_delay_s
        else:
            if not is_again:
                self._fall(now)
            self._wait_s = 1.0 / self._per_s
        self._wait_s = min(self._wait_s, self._max_delay_s)
        self._last_fall, self._n_in_a_row = self._n_sent, 0
        self._next_at = now + self._wait_s * (0.5 + unit_hash("back off", key, number))
        return is_telling

    def note_end(self) -> None:
        """An attempt ended, in whatever way."""
        self._ended_at = self._clock()

    def _fall(self, now: float) -> None:
        self._is_first_rise = False
        if self._n_in_a_row < _N_EARLY:
            per_s = _EARLY_FALL_FACTOR * self._per_s
        else:
            per_s = min(_FALL_FACTOR * self._per_s, self._answered_per_s(now))
        self._per_s = max(_LEAST_PER_S, per_s)

    def _answered_per_s(self, now: float) -> float:
        """Since the rate is watched; without end where there is nothing to tell from."""
        busy_s = now - self._busy_since
        return self._n_answered / busy_s if busy_s > 0.0 and self._n_answered > 0 else math.inf
