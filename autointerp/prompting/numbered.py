"""The number of an option in a judge's reply, or None where uncertain; never a guess, never an exception."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autointerp.prompting.lists import BACKTICK, QUOTATION, are_quoted
from autointerp.prompting.parsing import LONGEST_REPLY, reply_body
from autointerp.prompting.reply_json import load_json

__all__ = ["diagnose_number", "number_schema", "parse_number"]

_ALONE = re.compile(
    r"\A[\s*_`\"'(#]{0,8}(?:(?:window|passage|text|option|list|number|no\.)\s?#?)?(\d{1,6})[\s.!*_`\"')]{0,8}\Z",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?:\"answer\"|'answer'|\[?\b(?:answer|response)\b\]?)[`*_]{0,4}\s?(?:is|:|=)[\s\"'`*_\[(#]{0,6}"
    r"(?:(?:window|passage|text|option|list|number|no\.)\s?#?)?(\d{1,6})(?![\d.]*\d)(?!\s?(?:or|and|,|/|-)\s?\d)",
    re.IGNORECASE,
)


def parse_number(text: str, n: int, *, is_cut: bool = False) -> int | None:
    """The number from 1 to `n` in a reply; None where uncertain.

    Reads `{"answer": 3}`, a number alone, and the number after unquoted `answer:`, where all agree or the last ends the
    reply. Of a cut-off reply (`is_cut`) only a whole object counts.
    """
    body, _ = reply_body(text)
    if len(body) > LONGEST_REPLY:
        return None
    is_json, value = load_json(body)
    if is_json and isinstance(value, str):
        is_json, value = load_json(value)
    if is_json and isinstance(value, dict):
        return _checked(value.get("answer"), n)
    if is_cut:
        return None
    alone = _ALONE.match(body)
    return _checked(alone[1] if alone else _named(body), n)


def diagnose_number(text: str, n: int, *, is_cut: bool = False) -> str:
    """Reason for an unreadable reply, in words for the judge, without quoting it."""
    body, _ = reply_body(text)
    if is_cut:
        return "it was cut off before its end"
    if not body:
        return "it was empty"
    is_json, value = load_json(body) if len(body) <= LONGEST_REPLY else (False, None)
    if is_json and isinstance(value, dict) and "answer" in value:
        return f"its answer was no number from 1 to {n}"
    return "no single number could be found in it"


def number_schema(n: int) -> Mapping[str, Any]:
    return {
        "type": "object",
        "properties": {"answer": {"type": "integer", "enum": list(range(1, n + 1))}},
        "required": ["answer"],
        "additionalProperties": False,
    }


def _named(body: str) -> str | None:
    matches = list(_NAMED.finditer(body))
    quoted = are_quoted(body, matches, [QUOTATION, BACKTICK])
    plain = [match for match, is_quoted in zip(matches, quoted, strict=True) if not is_quoted]
    if not plain:
        return None
    is_last_word = not any(character.isalnum() for character in body[plain[-1].end() :])
    is_agreed = len({match[1] for match in plain}) == 1
    return plain[-1][1] if is_agreed or is_last_word else None


def _checked(value: object, n: int) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\d{1,6}", value.strip(), re.ASCII):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= n else None
