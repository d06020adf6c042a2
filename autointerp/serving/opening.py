"""The model of one run at a time, opened in the background while the page waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autointerp.run import Run
from autointerp.tensor_half import needs_tensor_half

if TYPE_CHECKING:
    from autointerp.serving.bench import Bench

__all__ = ["Benches", "Opened"]


@dataclass(frozen=True, slots=True)
class Opened:
    """`bench` is None while it is opened; `took_s` is the time so far, or the time it took."""

    bench: Bench | None
    took_s: float


@dataclass(eq=False)
class _Opening:
    number: int
    future: Future[Bench]
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float | None = None


class Benches:
    """The one opened last is kept, and let go when another run's is asked for."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="bench")
        self._current: _Opening | None = None

    def take(self, number: int) -> Opened:
        """The run's bench, or how long it has been opened for. Raises what opening raised, once: the next call tries
        again.
        """
        with self._lock:
            if self._current is None or self._current.number != number:
                self._current = None  # what is held goes before the next is loaded
                self._current = self._begin(number)
            current = self._current
            if not current.future.done():
                return Opened(None, time.monotonic() - current.began_s)
            if current.future.exception() is not None:
                self._current = None
        return Opened(current.future.result(), (current.ended_s or time.monotonic()) - current.began_s)

    def _begin(self, number: int) -> _Opening:
        opening = _Opening(number, self._worker.submit(_open, self._runs[number]))
        opening.future.add_done_callback(lambda _: setattr(opening, "ended_s", time.monotonic()))
        return opening


def _open(run: Run) -> Bench:
    with needs_tensor_half("to try a text"):
        from autointerp.serving.bench import Bench
    return Bench(run)
