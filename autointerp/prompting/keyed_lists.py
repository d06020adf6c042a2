"""Lists whose entries carry their numbers, as weaker judges write them where a plain list was asked for.

Read are an object with keys from 1 to n, a list of objects that each hold an answer and perhaps a number, lines such as
`3: 1`, and a list within a string. Numbers have to be there from 1 to n, each once: what begins at 0, leaves one out,
says one twice or can be read in two ways is not read. Takes decoded JSON or a text; knows nothing of what an answer is.
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
"""What a field with an answer may be called beside `answer` (or whatever was asked for)."""
_MOST_DEPTH = 3


class NumberedWord(NamedTuple):
    """What a line says of one number, and where."""

    word: str
    start: int


def plain_list(value: Any, n: int, *, name: str, depth: int = 0) -> list[Any] | None:
    """The `n` entries that a JSON value says, in order; None where it says other than `n` or where their order is not
    certain. `name` is what was asked for, in the plural."""
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
    """What lines such as `3: 1` or one line of such pairs say of the numbers 1 to `n`, in this order.

    None where a number is missing, out of turn or said twice, and where anything else in the text is numbered.
    """
    is_one_line = "\n" not in text
    lines = _pairs(text) if is_one_line else _lines(text)
    found = [(line, start) for line, start in lines if is_one_line or _BEGUN.match(line)]
    matches = [_LINE.fullmatch(line) for line, _ in found]
    if None in matches or (n == 1 and (not is_one_line or ":" not in text)):  # "1. yes" may begin a list of reasons
        return None
    told = [match for match in matches if match is not None]
    if [int(match["number"]) for match in told] != list(range(1, n + 1)) or len({m["kind"].lower() for m in told}) != 1:
        return None
    places = [start + match.start("word") for match, (_, start) in zip(told, found, strict=True)]
    return [NumberedWord(match["word"].rstrip("."), place) for match, place in zip(told, places, strict=True)]


def _within(text: str, n: int) -> Any:
    """The list in a string: JSON, numbered lines, or words between commas. The string itself where it is one word."""
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
    """What stands under `name`, else in the only list of the object, else under numbers, else in the only object."""
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
    """The entries under keys from 1 to `n` of one kind; beside them there may be prose."""
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
    """The answers of objects, in the order of the numbers they name, in their own where they name none."""
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
    """A field as whole numbers, None where one of them is something else."""
    found = []
    for row in rows:
        entry = row[field]
        match = _KEY.fullmatch(entry) if isinstance(entry, str) else None
        if match is not None:
            entry = int(match["number"])
        if not isinstance(entry, int) or isinstance(entry, bool):
            return None
        found.append(entry)
    return found


def _in_order(numbers: Sequence[int], entries: Sequence[Any], n: int) -> list[Any] | None:
    """The entries sorted by their numbers, None where those are not 1 to `n`, each once."""
    if sorted(numbers) != list(range(1, n + 1)):
        return None
    return [entry for _, entry in sorted(zip(numbers, entries, strict=True), key=lambda pair: pair[0])]


def _singular(name: str) -> str:
    return name.removesuffix("s")


def _lines(text: str) -> list[tuple[str, int]]:
    found, start = [], 0
    for line in text.split("\n"):
        found.append((line, start))
        start += len(line) + 1
    return found


def _pairs(text: str) -> list[tuple[str, int]]:
    """The parts of a line between commas or semicolons, and their places; brackets around all of it left out."""
    inner = text.strip().rstrip(".,;")
    start = text.index(inner)
    if len(inner) > 1 and (inner[0], inner[-1]) in (("{", "}"), ("(", ")")):
        inner, start = inner[1:-1], start + 1
    found = []
    for part in re.split(r"[,;]", inner):
        found.append((part, start))
        start += len(part) + 1
    return found
