"""JSON as judges write it: whole replies, and one value with prose around it. Never fails."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["json_amid_prose", "load_json"]

_BEGINNING = re.compile(r"^[ \t]{0,20}[{\[]", re.MULTILINE)


def load_json(text: str) -> tuple[bool, Any]:
    """Whether the text is JSON, and its value. Two keys of one name would let the second silently win, so such an
    object comes back empty."""
    try:
        return True, json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return False, None


def json_amid_prose(text: str) -> Any:
    """The object or list that begins a line of the text, None where there is none or another bracket stands around."""
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
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}
