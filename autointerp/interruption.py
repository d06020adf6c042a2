"""Signals during paid work: the first asks for an orderly end, the second ends at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from autointerp.errors import Interrupted

__all__ = ["Interruption"]

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# a bar hides it
_SHOW_CURSOR = b"\x1b[?25h\n"


class Interruption:
    """Within the block SIGINT, SIGTERM and SIGHUP are heard here, except ignored ones (nohup), in the main thread only.

    Leaving raises Interrupted where a signal came, unless another exception is on its way.
    """

    def __init__(self) -> None:
        self.reason: Interrupted | None = None
        self._then: Callable[[Interrupted], object] | None = None
        self._before: dict[int, Any] = {}

    def then(self, call: Callable[[Interrupted], object]) -> None:
        """What the first signal does, in the main thread; at once if it came already."""
        self._then = call
        if self.reason is not None:
            call(self.reason)

    def raise_if_any(self) -> None:
        if self.reason is not None:
            raise self.reason

    def sleep(self, seconds: float) -> None:
        """Sleep, which a signal ends with Interrupted."""
        self.then(_raise)
        try:
            time.sleep(seconds)
        finally:
            self._then = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.reason is not None and (error is None or not isinstance(error, Exception)):
            raise self.reason from None

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.reason is not None:
            _end_at_once(number)
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        self.reason = Interrupted(
            f"interrupted by {name}; what is done is kept, the same command goes on from here", number=number
        )
        if self._then is not None:
            self._then(self.reason)


def _raise(reason: Interrupted) -> None:
    raise reason


def _end_at_once(number: int) -> None:
    """End by the signal's default, so that the parent sees why."""
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
