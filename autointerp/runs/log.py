"""Log of a run, `log.txt`: everything said at the terminal, with times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from autointerp.progress import WORTH_A_LINE_S, Bar, Progress
from autointerp.runs.doing import KeptBar
from autointerp.runs.layout import RunLayout, write_failure
from autointerp.safe_text import safe_text

__all__ = ["LoggedProgress"]


class LoggedProgress:
    """Forwards progress, appends lines and finished bars to the log, and keeps the bar at work. Raises ArtefactError if
    the log is unwritable."""

    def __init__(self, shown: Progress, layout: RunLayout) -> None:
        self._shown, self._path, self._progress = shown, layout.log, layout.progress

    @contextmanager
    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> Iterator[Bar]:
        start = time.monotonic()
        with self._shown.bar(label, total=total, unit=unit) as bar:
            kept = KeptBar(bar, self._progress, label, total=total, unit=unit)
            try:
                yield kept
            finally:
                kept.end()
        took_s = time.monotonic() - start
        if unit or total is not None or took_s > WORTH_A_LINE_S:
            self._append(f"{label}: {took_s:.1f} s")

    def say(self, text: str) -> None:
        self._shown.say(text)
        self._append(text)

    def _append(self, text: str) -> None:
        text = safe_text(text).replace("\n", "\n    ")  # what follows a line break is no line of its own
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")
        except OSError as error:
            raise write_failure(self._path, error) from error
