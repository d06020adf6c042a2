"""How long work tells what it has done: a seam between the stages, which count, and whoever shows it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

__all__ = ["WORTH_A_LINE_S", "Bar", "Progress", "SilentProgress", "Speed"]

WORTH_A_LINE_S = 2.0
"""A wait in which nothing is counted gets a line in a log when it took longer."""


@runtime_checkable
class Bar(Protocol):
    """One piece of work on show."""

    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        """Set how much is done; `total` where it has become known; `note` is a short text beside the bar, its parts
        joined by ", " with the more important ones first. `eta_s` is the time left, where whoever works knows better
        than what has been done so far tells."""
        ...


@runtime_checkable
class Progress(Protocol):
    """Whoever shows progress."""

    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> AbstractContextManager[Bar]:
        """Show one piece of work until the context ends. `total` None means unknown; without `unit` as well, it is a
        wait in which nothing is counted."""
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
    """How fast something is counted up over the last `window_s` seconds: an old pause or burst is forgotten."""

    def __init__(self, *, window_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s, self._clock = window_s, clock
        self._seen: deque[tuple[float, float]] = deque()

    def note(self, count: float) -> None:
        """Say how far the count is."""
        now = self._clock()
        self._seen.append((now, count))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self._window_s:
            self._seen.popleft()

    @property
    def per_s(self) -> float | None:
        """Counts per second; None where that is not known yet."""
        if len(self._seen) < 2:
            return None
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - start) if end > start and after > before else None


class SilentProgress:
    """Shows nothing: for tests, libraries and `--json`."""

    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> AbstractContextManager[Bar]:
        return nullcontext(_SilentBar())

    def say(self, text: str) -> None:
        return
