"""Lists with numbered entries, written instead of plain lists: objects with keys 1 to n, lists of objects, lines such
as `3: 1`, lists within a string.

Numbers must run from 1 to n, each once; ambiguous lists are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from autointerp.prompting.reply_json import load_json

__all__ = ["NumberedWord", "numbered_lines", "plain_list"]

_KIND = r"(?:windows?|passages?|texts?|examples?|tokens?|items?|entry|entries|answers?|questions?|number|no|w|q)?"
_KEY = re.compile(rf"\s{{0,3}}(?P<kind>{_KIND})[\s_.#-]{{0,3}}(?P<number>[0-9]{{1,4}})\s{{0,3}}[.:]?", re.IGNORECASE)
_LABEL = (
    rf"[ \t]{{0,20}}(?:[-*>\u2022][ \t]{{1,4}})?[*_(\[#]{{0,4}}(?P<quote>[\"'`]?)(?P<kind>{_KIND})[ _.#-]{{0,2}}"
    r"(?P<number>[0-9]{1,4})(?P=quote)[*_)\]]{0,4}[ \t]{0,2}"
)
_BEGUN = re.compile(_LABEL + r"(?:(?<=[)\]])|:|=|->|\u2192|[\u2013\u2014-](?=\s)|\.(?=\s))", re.IGNORECASE)
_LINE = re.compile(
    _LABEL
    + r"(?:(?<=[)\]])|:|=>?|->|\u2192|[\u2013\u2014-](?=\s)|\.(?=\s))[ \t*_]{0,6}"
    + r"(?P<mark>[\"'`]?)(?P<word>[a-z0-9][a-z0-9./]{0,11}|[?-])(?P=mark)[ \t*_.,;]{0,6}\r?",
    re.IGNORECASE,
)
_NUMBER_FIELD = re.compile(
    r"(?:window|passage|text|example|token|item|entry|question)?[ _-]?(?:number|no|n|index|idx|id|i|position)?",
    re.IGNORECASE,
)
_ANSWER_FIELDS = frozenset(
    {
        *("label", "fires", "value", "prediction", "predicted", "verdict", "output", "result", "active", "activates"),
        *("decision", "response"),
    }
)
"""Names of answer fields beside `answer` or the requested name."""
_MOST_DEPTH = 3


class NumberedWord(NamedTuple):
    """Word for one number, and its place."""

    word: str
    start: int


def plain_list(value: Any, n: int, *, name: str, depth: int = 0) -> list[Any] | None:
    """The `n` entries of a JSON value, in order; None for another count or an uncertain order. `name` is the requested
    field, a plural.
    """
    if isinstance(value, str):
        value = _within(value, n)
    if isinstance(value, Mapping):
        return _of_object(value, n, name, depth) if depth < _MOST_DEPTH else None
    if isinstance(value, list):
        rows = [row for row in value if isinstance(row, dict)]
        entries = value if not rows else _of_rows(rows, n, name) if len(rows) == len(value) else None
        return entries if entries is not None and len(entries) == n else None
    return [value] if n == 1 and value is not None else None


def numbered_lines(text: str, n: int) -> list[NumberedWord] | None:
    """Words for the numbers 1 to `n` in lines such as `3: 1`, or in one line of such pairs.

    None where numbers are missing, unordered or repeated, or anything else is numbered.
    """
    is_one_line = "\n" not in text
    lines = _pairs(text) if is_one_line else _lines(text)
    numbered = [(line, start) for line, start in lines if is_one_line or _BEGUN.match(line)]
    matches = [_LINE.fullmatch(line) for line, _ in numbered]
    if None in matches or (n == 1 and (not is_one_line or ":" not in text)):  # "1. yes" may begin a list of reasons
        return None
    told = [match for match in matches if match is not None]
    if [int(match["number"]) for match in told] != list(range(1, n + 1)) or len({m["kind"].lower() for m in told}) != 1:
        return None
    places = [start + match.start("word") for match, (_, start) in zip(told, numbered, strict=True)]
    return [NumberedWord(match["word"].rstrip("."), place) for match, place in zip(told, places, strict=True)]


def _within(text: str, n: int) -> Any:
    """List in a string (JSON, numbered lines, or comma-separated); a single word stays a string."""
    is_json, value = load_json(text.strip())
    if is_json and isinstance(value, list | dict):
        return value
    lines = numbered_lines(text.strip(), n)
    if lines is not None:
        return [line.word for line in lines]
    if "," in text:
        return [part.strip() for part in text.split(",")]
    return text


def _of_object(value: Mapping[str, Any], n: int, name: str, depth: int) -> list[Any] | None:
    """Entries under `name`, else in the only list, else under numbers, else in the only object."""
    if name in value:
        return plain_list(value[name], n, name=name, depth=depth + 1)
    lists = [entry for entry in value.values() if isinstance(entry, list)]
    if lists:
        return plain_list(lists[0], n, name=name, depth=depth + 1) if len(lists) == 1 else None
    if any(_KEY.fullmatch(key) for key in value):
        return _by_number(value, n, name)
    if _singular(name) in value:
        return plain_list(value[_singular(name)], n, name=name, depth=depth + 1)
    objects = [entry for entry in value.values() if isinstance(entry, Mapping)]
    return plain_list(objects[0], n, name=name, depth=depth + 1) if len(objects) == 1 else None


def _by_number(value: Mapping[str, Any], n: int, name: str) -> list[Any] | None:
    """Entries under keys 1 to `n` of one kind, prose beside them ignored."""
    keys = {key: match for key in value if (match := _KEY.fullmatch(key)) is not None}
    if len({match["kind"].lower() for match in keys.values()}) != 1:
        return None
    if any(not isinstance(entry, str) for key, entry in value.items() if key not in keys):
        return None
    entries = _in_order([int(match["number"]) for match in keys.values()], [value[key] for key in keys], n)
    if entries is None or not any(isinstance(entry, Mapping) for entry in entries):
        return entries
    rows = [entry for entry in entries if isinstance(entry, Mapping)]
    return _of_rows(rows, n, name) if len(rows) == n else None


def _of_rows(rows: Sequence[Mapping[str, Any]], n: int, name: str) -> list[Any] | None:
    """Answers of objects, ordered by their numbers where they have any."""
    if len(rows) != n:
        return None
    if all(len(row) == 1 for row in rows):
        merged = {key: entry for row in rows for key, entry in row.items()}
        if any(_KEY.fullmatch(key) for key in merged):
            return _by_number(merged, n, name) if len(merged) == n else None
    fields = [field for field in rows[0] if all(field in row for row in rows)]
    own = [field for field in fields if field.lower() in (name, _singular(name))]
    numbers = [
        column
        for field in fields
        if field not in own and _NUMBER_FIELD.fullmatch(field) and (column := _whole_numbers(rows, field)) is not None
    ]
    named = own or [field for field in fields if field.lower() in _ANSWER_FIELDS]
    if not named and len(numbers) == 1 and len(fields) == 2:
        named = [field for field in fields if _whole_numbers(rows, field) != numbers[0]]
    if len(named) != 1 or any(column != numbers[0] for column in numbers):
        return None
    answers = [row[named[0]] for row in rows]
    return _in_order(numbers[0], answers, n) if numbers else answers


def _whole_numbers(rows: Sequence[Mapping[str, Any]], field: str) -> list[int] | None:
    """Field as whole numbers; None if any is not."""
    numbers = []
    for row in rows:
        entry = row[field]
        match = _KEY.fullmatch(entry) if isinstance(entry, str) else None
        if match is not None:
            entry = int(match["number"])
        if not isinstance(entry, int) or isinstance(entry, bool):
            return None
        numbers.append(entry)
    return numbers


def _in_order(numbers: Sequence[int], entries: Sequence[Any], n: int) -> list[Any] | None:
    """Entries sorted by number; None unless these are 1 to `n`."""
    if sorted(numbers) != list(range(1, n + 1)):
        return None
    return [entry for _, entry in sorted(zip(numbers, entries, strict=True), key=lambda pair: pair[0])]


def _singular(name: str) -> str:
    return name.removesuffix("s")


def _lines(text: str) -> list[tuple[str, int]]:
    lines, start = [], 0
    for line in text.split("\n"):
        lines.append((line, start))
        start += len(line) + 1
    return lines


def _pairs(text: str) -> list[tuple[str, int]]:
    """Parts between commas or semicolons, with their places, without outer brackets."""
    inner = text.strip().rstrip(".,;")
    start = text.index(inner)
    if len(inner) > 1 and (inner[0], inner[-1]) in (("{", "}"), ("(", ")")):
        inner, start = inner[1:-1], start + 1
    parts = []
    for part in re.split(r"[,;]", inner):
        parts.append((part, start))
        start += len(part) + 1
    return parts
