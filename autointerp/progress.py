"""A seam between long work, which counts, and whoever shows it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Protocol, runtime_checkable

__all__ = ["WORTH_A_LINE_S", "Bar", "Pace", "Progress", "SilentProgress", "Speed"]

# a wait in which nothing is counted gets a line in a log when it took longer
WORTH_A_LINE_S = 2.0


@runtime_checkable
class Bar(Protocol):
    """One piece of work on show."""

    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        """`total`: once it is known. `note`: a short text, its parts joined by ", ", important ones first. `eta_s`: the
        time left, where the caller knows better than the pace so far tells.
        """
        ...


@runtime_checkable
class Progress(Protocol):
    """Whoever shows progress."""

    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> AbstractContextManager[Bar]:
        """Show one piece of work until the context ends. `total` None means unknown; without `unit` too, nothing is
        counted.
        """
        ...

    def say(self, text: str) -> None:
        """One line for the log."""
        ...


class _SilentBar:
    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        return


class Speed:
    """Pace over the last `window_s` seconds."""

    def __init__(self, *, window_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s, self._clock = window_s, clock
        self._seen: deque[tuple[float, float]] = deque()

    def note(self, count: float) -> None:
        now = self._clock()
        self._seen.append((now, count))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self._window_s:
            self._seen.popleft()

    @property
    def per_s(self) -> float | None:
        if len(self._seen) < 2:
            return None
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - start) if end > start and after > before else None


class Pace:
    """The time left of work that counts, from the median pace of recent stretches of at least `stretch_s` seconds.

    The clock starts with the first count, so what came before it (a pool filled, a training resumed) is not taken for
    the pace, nor is a stall.
    """

    def __init__(
        self, *, stretch_s: float = 5.0, n_stretches: int = 15, clock: Callable[[], float] = lambda: time.monotonic()
    ) -> None:
        self._stretch_s, self._clock = stretch_s, clock
        self._start: tuple[float, float] | None = None
        self._rates: deque[float] = deque(maxlen=n_stretches)

    def note(self, count: float) -> None:
        now = self._clock()
        if self._start is None:
            self._start = (now, count) if count > 0 else None
            return
        start, before = self._start
        if count > before and now - start >= self._stretch_s:
            self._rates.append((count - before) / (now - start))
            self._start = (now, count)

    def left_s(self, done: float, total: float | None) -> float | None:
        """None where there is no total, or no stretch yet."""
        return (total - done) / median(self._rates) if total is not None and self._rates else None


class SilentProgress:
    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> AbstractContextManager[Bar]:
        return nullcontext(_SilentBar())

    def say(self, text: str) -> None:
        return
