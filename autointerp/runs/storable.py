"""Values made storable in SQLite."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

__all__ = ["storable", "storable_text"]

_LARGEST = 2**63 - 1


def storable(value: Any) -> Any:
    """Nearest storable value: bounded integers, plain floats, text."""
    if isinstance(value, str):
        return storable_text(value)
    if value is None or type(value) is float or isinstance(value, bytes):
        return value
    # `int` first: asking an abstract class takes several times as long
    if isinstance(value, int | Integral):
        return max(-_LARGEST - 1, min(_LARGEST, int(value)))
    return float(value) if isinstance(value, Real) else storable_text(str(value))


def storable_text(text: str) -> str:
    """Text with unpaired surrogates as `?`."""
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode()
