"""From a judge's reply to the number it names: which one of several numbered options. Never guesses, never fails.

What cannot be read with certainty is None and becomes the verdict `unparsed`. Reasoning is dropped first. Every pattern
goes over a text once. Takes the reply's text; knows nothing of what the options are.
"""

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
    """The number from 1 to `n` that a reply names, or None where that is not certain.

    Reads `{"answer": 3}`, a number that is all of the reply, and the number after a last `answer:` that is not quoted,
    where all such agree or the last is the reply's last word. Of a reply that was cut off (`is_cut`) only a whole
    object counts: what else it says may go on.
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
    """Why `parse_number` could not read the reply, in words for the judge; nothing of the reply is repeated."""
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
    """The JSON schema of `{"answer": k}` with k from 1 to `n`."""
    return {
        "type": "object",
        "properties": {"answer": {"type": "integer", "enum": list(range(1, n + 1))}},
        "required": ["answer"],
        "additionalProperties": False,
    }


def _named(body: str) -> str | None:
    found = list(_NAMED.finditer(body))
    quoted = are_quoted(body, found, [QUOTATION, BACKTICK])
    plain = [match for match, is_quoted in zip(found, quoted, strict=True) if not is_quoted]
    if not plain:
        return None
    is_last_word = not any(character.isalnum() for character in body[plain[-1].end() :])
    is_agreed = len({match[1] for match in plain}) == 1
    return plain[-1][1] if is_agreed or is_last_word else None


def _checked(value: object, n: int) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\d{1,6}", value.strip(), re.ASCII):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= n else None
