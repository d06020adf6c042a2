"""JSON files that may be damaged or hostile."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

__all__ = ["load_json", "load_text", "parse_json"]

MOST_BYTES = 256_000_000
MOST_DEEP = 64


def load_json(path: Path) -> Any:
    """The value in the file. Raises OSError if it cannot be read, ValueError for what is not small, flat JSON."""
    return parse_json(load_text(path))


def load_text(path: Path) -> str:
    """The text of a regular file (a pipe could block). Raises as `load_json`."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("no regular file")
    if status.st_size > MOST_BYTES:
        raise ValueError(f"{status.st_size:,} bytes, where {MOST_BYTES:,} are read at most")
    return path.read_text(encoding="utf-8")


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level: list[Any] = [value]
    for _ in range(MOST_DEEP):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return value
    raise ValueError("nested too deeply")
