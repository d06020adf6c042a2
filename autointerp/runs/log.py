"""Log of a run, `log.txt`: everything said at the terminal, with times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autointerp.progress import WORTH_A_LINE_S, Bar, Progress
from autointerp.runs.layout import write_failure
from autointerp.safe_text import safe_text

__all__ = ["LoggedProgress"]


class LoggedProgress:
    """Forwards progress and appends lines and finished bars to a file. Raises ArtefactError if unwritable."""

    def __init__(self, shown: Progress, path: Path) -> None:
        self._shown, self._path = shown, path

    @contextmanager
    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> Iterator[Bar]:
        start = time.monotonic()
        with self._shown.bar(label, total=total, unit=unit) as bar:
            yield bar
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
