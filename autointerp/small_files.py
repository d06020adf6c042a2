"""Small JSON and TOML files that others may have written or damaged, as plain values."""

from __future__ import annotations

import json
import math
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autointerp.errors import UnreadableFile

__all__ = ["parse_json", "read_json", "read_text", "read_toml"]

MOST_BYTES = 64_000_000
MOST_DEEP = 64


def read_json(path: Path, *, most_bytes: int = MOST_BYTES, is_finite: bool = False) -> Any:
    """With `is_finite` NaN and infinity are faults. Raises UnreadableFile."""
    return parse_json(read_text(path, most_bytes=most_bytes), place=str(path), is_finite=is_finite)


def parse_json(text: str, *, place: str, is_finite: bool = False) -> Any:
    """`place` names the text in errors. Raises UnreadableFile."""
    return _parse(json.loads, text, "JSON", place, is_finite=is_finite)


def read_toml(path: Path) -> dict[str, Any]:
    """Raises UnreadableFile."""
    return _parse(tomllib.loads, read_text(path), "TOML", str(path))


def read_text(path: Path, *, most_bytes: int = MOST_BYTES) -> str:
    """A regular UTF-8 file of `most_bytes` at most. Raises UnreadableFile."""
    try:
        stats = path.stat()
        # not opened: a pipe would wait for ever
        if not stat.S_ISREG(stats.st_mode):
            raise UnreadableFile(f"{path} is no regular file")
        if stats.st_size > most_bytes:
            raise UnreadableFile(f"{path} is too large: {stats.st_size:,} bytes, where {most_bytes:,} are read at most")
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableFile(f"{path} does not exist", is_missing=True) from None
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{path} is damaged: no UTF-8 text ({error.reason} at byte {error.start})") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise UnreadableFile(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _parse(parse: Callable[[str], Any], text: str, form: str, place: str, *, is_finite: bool = False) -> Any:
    try:
        tree = parse(text)
    except RecursionError:
        raise UnreadableFile(f"{place} is damaged: nested too deeply") from None
    except ValueError as error:
        raise UnreadableFile(f"{place} is damaged: no {form} ({' '.join(str(error).split())[:200]})") from None
    fault = _fault(tree, is_finite=is_finite)
    if fault is not None:
        raise UnreadableFile(f"{place} is damaged: {fault}")
    return tree


def _fault(tree: Any, *, is_finite: bool) -> str | None:
    """What would harm whoever walks the tree."""
    level: list[Any] = [tree]
    for _ in range(MOST_DEEP):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif is_finite and isinstance(value, float) and not math.isfinite(value):
                return f"it holds a number that is not finite ({value})"
            elif isinstance(value, int) and not -(2**63) <= value < 2**64:
                return "it holds a whole number of more than 64 bits"
        level = inner
        if not level:
            return None
    return "nested too deeply"
