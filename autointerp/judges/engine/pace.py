"""Learnt rate of attempts at an endpoint that turns some away without naming a pause.

Refusals first double a wait; the first answer sets the rate, which rises convexly with answers and falls by a factor
with each refusal (congestion control as in RFC 9438).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from autointerp.seeds import unit_hash

__all__ = ["Pace"]

_FALL_FACTOR = 0.9
_EARLY_FALL_FACTOR = 0.7
"""For a refusal within `_N_EARLY` answers of the last."""
_N_EARLY = 8
_RISE_FRAC = 1e-3
"""The n-th answer in a row raises the rate by n times this share."""
_FIRST_RISE_FRAC = 0.1
"""Rise per answer of a rate that was never too high."""
_RISE_FRAC_PER_S = 0.3
"""Endpoints count over a second or more: a rate too high does not show sooner."""

_LEAST_PER_S = 1 / 60
"""Lowest rate, so that a recovered endpoint is noticed."""


class Pace:
    """Time of the next attempt. Attempts are numbered from 1 in sending order."""

    def __init__(
        self, *, first_delay_s: float, max_delay_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`first_delay_s` and `max_delay_s` are the first and the longest wait."""
        self._first_delay_s, self._max_delay_s, self._clock = first_delay_s, max_delay_s, clock
        self._per_s = math.inf
        self._wait_s = 0.0
        """Between sends until an answer comes, then 0."""
        self._next_at = -math.inf
        self._n_sent, self._last_fall, self._n_in_a_row = 0, 0, 0
        self._is_first_rise, self._is_held = True, False
        self._n_answered, self._answered_at, self._busy_since, self._ended_at = 0, 0.0, 0.0, 0.0

    def hold_s(self) -> float:
        """Seconds until the next attempt may be sent."""
        hold_s = max(0.0, self._next_at - self._clock())
        self._is_held = self._is_held or hold_s > 0.0
        return hold_s

    def note_sent(self, number: int, *, is_alone: bool) -> None:
        """`is_alone`: no other attempt is under way."""
        now = self._clock()
        if is_alone:  # nobody had anything to ask in between, which says nothing of the endpoint
            self._busy_since += max(0.0, now - max(self._ended_at, self._next_at))
        self._n_sent = number
        gap_s = max(self._wait_s, 1.0 / self._per_s)
        if gap_s > 0.0:
            # a timer that is a little late is made up for
            self._next_at = max(self._next_at, now - gap_s) + gap_s

    def note_answer(self, number: int) -> None:
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
        """Whether a refusal without pause speaks against so many attempts at once, not only against this pace.

        `key` decides the jitter. A request turned away again (`is_again`) may be at fault, so the rate stays.
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
        self._ended_at = self._clock()

    def _fall(self, now: float) -> None:
        self._is_first_rise = False
        if self._n_in_a_row < _N_EARLY:
            per_s = _EARLY_FALL_FACTOR * self._per_s
        else:
            per_s = min(_FALL_FACTOR * self._per_s, self._answered_per_s(now))
        self._per_s = max(_LEAST_PER_S, per_s)

    def _answered_per_s(self, now: float) -> float:
        """Answers per second since watching began; infinite when unknown."""
        busy_s = now - self._busy_since
        return self._n_answered / busy_s if busy_s > 0.0 and self._n_answered > 0 else math.inf
