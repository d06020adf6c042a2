"""Event loops whose time does not pass by itself: `with asyncio.Runner(loop_factory=InstantLoop) as runner: ...`."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

__all__ = ["InstantLoop", "LeapingLoop"]


class _Instant(selectors.DefaultSelector):
    """Whoever sleeps is woken at once, and the time is what they slept for."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0.0)
        if not events:
            self.now += timeout or 0.0
        return events


class InstantLoop(asyncio.SelectorEventLoop):
    """Time passes by sleeping only, and takes none: for what waits for nothing outside the process."""

    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.now


class LeapingLoop(asyncio.SelectorEventLoop):
    """Time passes, and leaps by `leap`: what is due by then is due at once."""

    _ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self._ahead_s

    def leap(self, seconds: float) -> None:
        self._ahead_s += seconds
