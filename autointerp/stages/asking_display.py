"""The progress of asking a judge, as a bar's line: requests a second, time left, money, unreadable answers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client
from autointerp.judges.engine.limits import Waiting
from autointerp.progress import WORTH_A_LINE_S, Bar, Progress, Speed
from autointerp.workers import Tally

__all__ = ["AskingDisplay"]

_UNREADABLE_FRAC = 0.2
# from so many verdicts on, a share of unreadable ones above that is worth a warning
_ENOUGH_VERDICTS = 50
# when nothing has come back for so long, how many questions are under way is worth telling
_STILL_S = 5.0
# seconds between two lines about waits of different reasons, and of the same
_SAY_OTHER_S, _SAY_EVERY_S = 10.0, 60.0


class AskingDisplay:
    """How one stage gets on with one judge; warns once when many answers cannot be read."""

    def __init__(
        self,
        bar: Bar,
        client: Client,
        budget: Budget,
        *,
        progress: Progress,
        label: str,
        judge: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bar, self._client, self._budget = bar, client, budget
        self._progress, self._label, self._judge = progress, label, judge
        self._clock, self._speed = clock, Speed(clock=clock)
        self._state = Tally(n_features=0)
        self._is_warned, self._n_unpriced = False, 0
        self._n_ended, self._ended_at = 0, clock()
        self._waiting_since: float | None = None
        self._said, self._said_at = "", -math.inf

    def show(self, state: Tally) -> None:
        self._state, self._n_unpriced = state, state.n_unpriced
        self._speed.note(self._n_fresh(state))
        self._draw()
        self._warn(state)

    def beat(self) -> None:
        """Keep the bar alive while nothing ends, and say why a wait lasts."""
        counters, now = self._client.counters, self._clock()
        if counters.n_sent - counters.n_in_flight != self._n_ended:
            self._n_ended, self._ended_at = counters.n_sent - counters.n_in_flight, now
        waiting = self._client.waiting
        if waiting is None:
            self._waiting_since = None
        else:
            self._waiting_since = now if self._waiting_since is None else self._waiting_since
            self._say_wait(waiting, now)
        self._draw()

    def _draw(self) -> None:
        state, per_s = self._state, self._speed.per_s
        parts = [self._standstill(), self._client.doing, "" if per_s is None else f"{_rate(per_s)}/s", self.money]
        if state.n_verdicts:
            parts.append(f"{state.n_unparsed / state.n_verdicts:.0%} unparsed")
        parts.append(f"{self._client.counters.n_sent:,} sent")
        if state.n_reasked:
            parts.append(f"{state.n_reasked:,} asked again")
        note = ", ".join(filter(None, parts))
        total = state.n_features or None
        self._bar.update(state.n_done, total=total, note=note, eta_s=self._left_s(state, per_s))

    def _standstill(self) -> str:
        """What is waited for, where nothing has come back for a while."""
        waiting, counters = self._client.waiting, self._client.counters
        if waiting is not None:
            return _pause(waiting)
        still_s = self._clock() - self._ended_at
        is_still = counters.n_in_flight > 0 and still_s >= _STILL_S
        return f"{counters.n_in_flight:,} under way for {still_s:.0f} s" if is_still else ""

    def _say_wait(self, waiting: Waiting, now: float) -> None:
        since = now if self._waiting_since is None else self._waiting_since
        is_long = max(waiting.pause_s, now - since) > WORTH_A_LINE_S
        if not is_long or now - self._said_at < (_SAY_EVERY_S if waiting.reason == self._said else _SAY_OTHER_S):
            return
        self._said, self._said_at = waiting.reason, now
        self._progress.say(f"{self._label}: {_pause(waiting)}: {waiting.reason}")

    def _n_fresh(self, state: Tally) -> int:
        """Requests that the judge answered since this process began."""
        counters = self._client.counters
        return max(0, state.n_requests - counters.n_from_journal - counters.n_from_cache)

    def _left_s(self, state: Tally, per_s: float | None) -> float | None:
        if per_s is None or not state.n_done:
            return None
        # the pace counts fresh answers only: what journal or cache answered says nothing about the rest
        return (state.n_features - state.n_done) * (state.n_requests / state.n_done) / per_s

    @property
    def money(self) -> str:
        more = f" + {self._n_unpriced:,} unpriced" if self._n_unpriced else ""
        return f"${self._budget.spent_usd:.2f}{more}"

    def _warn(self, state: Tally) -> None:
        if self._is_warned or state.n_verdicts < _ENOUGH_VERDICTS:
            return
        frac = state.n_unparsed / state.n_verdicts
        if frac <= _UNREADABLE_FRAC:
            return
        self._is_warned = True
        judge, _, _ = self._judge.partition(":")
        fix = (
            f"set judges.{judge}.reply_format = 'json_schema', or raise {self._label}.max_tokens if replies are cut off"
        )
        self._progress.say(
            f"{self._label}: {frac:.0%} of the answers of {self._judge} cannot be read: {fix}; "
            "`autointerp journal RUN --feature DICTIONARY/INDEX` shows what it replied"
        )


def _pause(waiting: Waiting) -> str:
    return f"waits {math.ceil(waiting.pause_s)} s" if waiting.pause_s >= 1 else "tries again"


def _rate(per_s: float) -> str:
    return f"{per_s:.0f}" if per_s >= 10 else f"{per_s:.1f}"
