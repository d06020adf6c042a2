"""JSON in judges' replies; never an exception."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["json_amid_prose", "load_json"]

_BEGINNING = re.compile(r"^[ \t]{0,20}[{\[]", re.MULTILINE)


def load_json(text: str) -> tuple[bool, Any]:
    """Whether the text is JSON, and its value."""
    try:
        return True, json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return False, None


def json_amid_prose(text: str) -> Any:
    """Object or list that begins a line; None without one, or with brackets around it."""
    begun = _BEGINNING.search(text)
    if begun is None:
        return None
    try:
        value, end = json.JSONDecoder(object_pairs_hook=_unique).raw_decode(text, begun.end() - 1)
    except (ValueError, RecursionError):
        return None
    around = text[: begun.end() - 1] + text[end:]
    ends_line = not text[end:].partition("\n")[0].strip(" \t\r`*.,;")
    return value if ends_line and not set("[]{}") & set(around) else None


def _unique(pairs: list[tuple[str, Any]]) -> Any:
    unique = dict(pairs)
    # of two equal keys the second would win silently
    return unique if len(unique) == len(pairs) else {}
