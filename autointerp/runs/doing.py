"""What a run is doing at this moment, `progress.json`: kept by the process at work for those who follow it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from autointerp.errors import ArtefactError, UnreadableFile
from autointerp.progress import Bar, Pace
from autointerp.runs.layout import write_text
from autointerp.safe_text import safe_line
from autointerp.small_files import read_json

__all__ = ["KeptBar", "read_doing"]

_EVERY_S = 1.0


class KeptBar:
    """A bar that is also in the file, at most once a second, until `end`. A file that cannot be written is left out."""

    def __init__(
        self,
        shown: Bar,
        path: Path,
        label: str,
        *,
        total: float | None,
        unit: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._shown, self._path, self._clock = shown, path, clock
        self._pace = Pace()
        self._written_at = clock()
        self._state: dict[str, Any] = {"label": safe_line(label), "unit": unit, "began_at": clock()}
        self._state |= {"done": 0.0, "total": total, "note": "", "eta_s": None}
        self._write()

    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        self._shown.update(done, total=total, note=note, eta_s=eta_s)
        self._pace.note(done)
        self._state["done"] = done
        self._state |= {} if total is None else {"total": total}
        self._state |= {} if note is None else {"note": safe_line(note)}
        self._state["eta_s"] = self._pace.left_s(done, self._state["total"]) if eta_s is None else eta_s
        if self._clock() - self._written_at >= _EVERY_S:
            self._write()

    def end(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._written_at = self._clock()
        with suppress(ArtefactError):
            write_text(self._path, json.dumps(self._state | {"at": self._written_at}))


def read_doing(path: Path) -> dict[str, Any] | None:
    """`label`, `unit`, `done`, `total`, `note`, `eta_s`, and the times `began_at` and `at`; None without a readable
    file.
    """
    try:
        found = read_json(path) if path.is_file() else None
    except UnreadableFile:
        return None
    return found if isinstance(found, dict) and {"label", "at"} <= found.keys() else None
