"""A worker's progress, told to its coordinator, which may answer that the worker shall stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from autointerp.engine.task import Share
from autointerp.progress import Bar, SilentProgress

__all__ = ["FarProgress"]

_EVERY_S = 0.5


class FarProgress:
    """Tells of bars that count. A stop, and a coordinator that is gone, are to this process as Ctrl-C."""

    def __init__(self, share: Share) -> None:
        self._share = share

    @contextmanager
    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> Iterator[Bar]:
        if not unit:
            with SilentProgress().bar(label) as silent:
                yield silent
            return
        bar = _FarBar(self._share, total)
        with bar.telling():
            yield bar

    def say(self, text: str) -> None:
        self._share.call("say", text)


class _FarBar:
    def __init__(self, share: Share, total: float | None) -> None:
        self._share = share
        self._state: tuple[float, float | None, str | None] = (0.0, total, None)
        self._is_stopped = self._is_heeded = False
        self._is_over = threading.Event()

    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        self._state = (done, total or self._state[1], note)
        if self._is_stopped and not self._is_heeded:
            self._is_heeded = True
            # called, not raised as a signal, which Ray's workers block
            handle = signal.getsignal(signal.SIGINT)
            assert callable(handle)
            handle(signal.SIGINT, None)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Within the block a thread tells, so that no work waits for the coordinator."""
        thread = threading.Thread(target=self._tell_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def _tell_on(self) -> None:
        try:
            while not self._is_over.wait(_EVERY_S):
                self._is_stopped = self._is_stopped or self._share.call("note", *self._state)
            self._share.call("note", *self._state)
        except ConnectionError:
            self._is_stopped = True
