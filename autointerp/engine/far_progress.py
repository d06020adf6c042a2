"""A worker's progress, told to its coordinator, which may answer that the worker shall stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from autointerp.engine.task import Share
from autointerp.progress import Bar, SilentProgress

__all__ = ["FarProgress"]

_EVERY_S = 0.5


class FarProgress:
    """Tells of bars that count. A stop, and a coordinator that is gone, are to this process as Ctrl-C."""

    def __init__(self, share: Share) -> None:
        self._share, self._told_at, self._is_stopped = share, 0.0, False

    @contextmanager
    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> Iterator[Bar]:
        if not unit:
            with SilentProgress().bar(label) as silent:
                yield silent
            return
        bar = _FarBar(self, total)
        yield bar
        bar.tell()

    def say(self, text: str) -> None:
        self._share.call("say", text)

    def note(self, done: float, total: float | None, note: str | None, *, is_last: bool = False) -> None:
        now = time.monotonic()
        if self._is_stopped or (not is_last and now - self._told_at < _EVERY_S):
            return
        self._told_at = now
        try:
            self._is_stopped = self._share.call("note", done, total, note)
        except ConnectionError:
            self._is_stopped = True
        if self._is_stopped:
            # called, not raised as a signal, which Ray's workers block
            handle = signal.getsignal(signal.SIGINT)
            assert callable(handle)
            handle(signal.SIGINT, None)


class _FarBar:
    def __init__(self, progress: FarProgress, total: float | None) -> None:
        self._progress, self._total = progress, total
        self._done, self._note = 0.0, None

    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        self._done, self._total, self._note = done, total or self._total, note
        self._progress.note(done, self._total, note)

    def tell(self) -> None:
        self._progress.note(self._done, self._total, self._note, is_last=True)
