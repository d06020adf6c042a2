"""Finished cells of a study on disk, one JSON line each."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from autointerp.errors import ArtefactError, ConfigError
from synthetic_studies.study import Row

__all__ = ["CellFile", "FinishedCell", "write_csv"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FinishedCell:
    """One cell's key, CPU seconds and rows."""

    key: str
    cpu_s: float
    rows: list[Row]


class CellFile:
    """`cells.jsonl` of one study: a line of settings, then one per finished cell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: TextIO | None = None

    def open(self, settings: Mapping[str, Any], *, is_fresh: bool) -> dict[str, FinishedCell]:
        """Start or continue the file; return finished cells by key, without a line a crash cut short.

        Raises ConfigError for other settings or a file in use, ArtefactError for a damaged or foreign file.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        if is_fresh:
            self.path.write_text("")
        lines = self._whole_lines()
        if not lines:
            self.path.write_text(_line({"schema_version": SCHEMA_VERSION, "settings": dict(settings)}))
            return {}
        self._check_head(lines[0], settings)
        self.path.write_text("".join(map(_line, lines)))
        return _finished(lines)

    def read(self, settings: Mapping[str, Any]) -> dict[str, FinishedCell]:
        """Finished cells by key of a file that is left as it is; none where there is no file. Raises as `open`."""
        lines = self._whole_lines() if self.path.is_file() else []
        if lines:
            self._check_head(lines[0], settings)
        return _finished(lines)

    def append(self, cell: FinishedCell) -> None:
        """Write one finished cell; it is on disk on return."""
        with self.path.open("a") as file:
            file.write(_line({"cell": cell.key, "cpu_s": round(cell.cpu_s, 2), "rows": cell.rows}))
            file.flush()
            os.fsync(file.fileno())

    def _take_lock(self) -> None:
        """Lock the file for the life of this object or its process."""
        if self._lock is not None:
            return
        handle = self.path.open("a")
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.close()
                raise ConfigError(
                    f"another process is running the study in {self.path.parent}; wait for it, or use another --out"
                ) from None
        self._lock = handle

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _whole_lines(self) -> list[dict[str, Any]]:
        texts = self.path.read_text().split("\n")[:-1]  # what follows the last newline was never finished
        try:
            return [json.loads(text) for text in texts]
        except ValueError:
            raise ArtefactError(f"{self.path} is damaged; run again with --fresh") from None

    def _check_head(self, head: dict[str, Any], settings: Mapping[str, Any]) -> None:
        if head.get("schema_version") != SCHEMA_VERSION:
            raise ArtefactError(f"{self.path} is of another version of this program; run again with --fresh")
        wanted, kept = json.loads(json.dumps(dict(settings))), head["settings"]
        changed = sorted(key for key in wanted.keys() | kept.keys() if wanted.get(key) != kept.get(key))
        if changed:
            differences = ", ".join(f"{key} ({kept.get(key)!r}, now {wanted.get(key)!r})" for key in changed)
            raise ConfigError(
                f"{self.path.parent} holds a study of other settings: {differences}; use --fresh to start anew, or "
                "another --out"
            )


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """All rows as CSV; columns in order of first occurrence."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _short(value) for key, value in row.items()} for row in rows)
    temporary.replace(path)


def _finished(lines: Sequence[Mapping[str, Any]]) -> dict[str, FinishedCell]:
    """Of all lines but the first, the last of a key."""
    return {line["cell"]: FinishedCell(line["cell"], line["cpu_s"], line["rows"]) for line in lines[1:]}


def _short(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, allow_nan=True) + "\n"
