"""Lists of numbers in a judge's reply, in the forms that `parsing` reads; None where uncertain, never an exception."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from autointerp.prompting.keyed_lists import numbered_lines, plain_list
from autointerp.prompting.lists import (
    QUOTATION,
    UNKNOWN_WORDS,
    FoundList,
    Item,
    are_quoted,
    begins_text,
    choose_list,
    is_reference,
)
from autointerp.prompting.parsing import LONGEST_REPLY, reply_body
from autointerp.prompting.reply_json import json_amid_prose, load_json

__all__ = ["Numbers", "diagnose_numbers", "find_numbers"]

_FLAT_LIST = re.compile(r"\[([^\[\]{}]*)\]")
_NAMED_LIST = re.compile(r"\"(\w{1,40})\"\s*:\s*\[([^\[\]{}]*)\]")
_LIST_BEGUN = re.compile(r"\[\s*[\"']?[0-9]")
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?")
_ONLY_LIST = re.compile(r"[0-9.,\s]+")


class Numbers(NamedTuple):
    """Numbers in order; `starts` are their places in the text where known."""

    values: tuple[float, ...]
    starts: tuple[int, ...] | None


class _Entry(NamedTuple):
    """Number, None if unknown or out of range, and its place."""

    value: float | None
    start: int


def find_numbers(
    text: str, n: int, *, name: str = "activations", highest: float, is_cut: bool = False
) -> Numbers | None:
    """The `n` numbers from 0 to `highest`; None where uncertain.

    `name` is the list's key in an object. Of a cut-off reply (`is_cut`) only a list at the beginning counts.
    """
    body, start = reply_body(text)
    if len(body) > LONGEST_REPLY:
        return None
    is_json, value = load_json(body)
    if is_json and isinstance(value, dict):
        return _read_object(body, value, n, name, highest, start)
    if is_json and (isinstance(value, str) or (isinstance(value, list) and dict in map(type, value))):
        return _keyed(value, n, name, highest)
    number_lists = _find_lists(body, highest)
    if is_cut:
        number_lists = number_lists[:1] if number_lists and begins_text(body, number_lists[0]) else []
    if number_lists:
        last = number_lists[-1]
        is_another_begun = _LIST_BEGUN.search(body, max(last.end, body.rfind("]") + 1)) is not None
        entries = None if is_another_begun and not is_cut else choose_list(body, number_lists, n)
    else:
        is_list = not is_cut and _ONLY_LIST.fullmatch(body) is not None and "\n" not in body
        entries = cast("list[Item] | None", _read_entries(body, 0, highest)) if is_list else None
        lines = numbered_lines(body, n) if entries is None and not is_cut else None
        if lines is not None:
            read = [_Entry(_number(line.word, highest), line.start) for line in lines]
            entries = cast("list[Item] | None", read)
        elif entries is None and not is_cut:
            return _keyed(json_amid_prose(body), n, name, highest)
    if entries is None or len(entries) != n:
        return None
    return _numbers(cast("list[_Entry]", entries), start)


def diagnose_numbers(text: str, n: int, *, highest: float, is_cut: bool = False) -> str:
    """Reason for an unreadable reply, in words for the judge, without quoting it."""
    body, _ = reply_body(text)
    if is_cut:
        return "it was cut off before its end"
    if not body:
        return "it was empty"
    number_lists = _find_lists(body[:LONGEST_REPLY], highest)
    lengths = {len(f.items) for f in number_lists}
    if lengths == {n}:
        if any(item.value is None for item in number_lists[-1].items):
            return f"its list held what is no number from 0 to {highest:g}"
        return "it did not give one list of numbers as its last word"
    if len(lengths) == 1:
        return f"its list had another length, {lengths.pop()}"
    return "it held lists of several lengths" if lengths else "no list of numbers could be found in it"


def _numbers(entries: Sequence[_Entry], start: int) -> Numbers | None:
    values = [entry.value for entry in entries]
    if any(value is None for value in values):
        return None
    return Numbers(tuple(cast("list[float]", values)), tuple(start + entry.start for entry in entries))


def _read_object(body: str, value: dict[str, Any], n: int, name: str, highest: float, start: int) -> Numbers | None:
    """Numbers under `name`, in the only list, or under numbers."""
    names = [name] if name in value else [key for key in value if isinstance(value[key], list)]
    listed = value[names[0]] if len(names) == 1 else None
    if not isinstance(listed, list) or dict in map(type, listed):
        return _keyed(value, n, name, highest)
    if len(listed) != n:
        return None
    values = [_number(entry, highest) for entry in listed]
    if any(number is None for number in values):
        return None
    exact = tuple(cast("list[float]", values))
    lists = [_read_entries(match[2], match.start(2), highest) for match in _NAMED_LIST.finditer(body)]
    # places are known only where one list of the text fits
    same = [entries for entries in lists if entries is not None and tuple(e.value for e in entries) == exact]
    return Numbers(exact, tuple(start + e.start for e in same[0]) if len(same) == 1 else None)


def _keyed(value: Any, n: int, name: str, highest: float) -> Numbers | None:
    """Numbers of a JSON value that is no plain list."""
    values = [_number(entry, highest) for entry in plain_list(value, n, name=name) or ()]
    exact = tuple(value for value in values if value is not None)
    return Numbers(exact, None) if len(exact) == n else None


def _number(entry: Any, highest: float) -> float | None:
    if isinstance(entry, str):
        entry = float(entry.strip()) if _NUMBER.fullmatch(entry.strip()) else None
    is_number = isinstance(entry, int | float) and not isinstance(entry, bool)
    return float(entry) if is_number and 0 <= entry <= highest else None


def _find_lists(text: str, highest: float) -> list[FoundList]:
    """Flat bracketed lists of numbers, neither quoted nor references, in order."""
    lists = list(_FLAT_LIST.finditer(text))
    number_lists: list[FoundList] = []
    for index, (match, is_quoted) in enumerate(zip(lists, are_quoted(text, lists, [QUOTATION]), strict=True)):
        entries = None if is_quoted else _read_entries(match[1], match.start(1), highest)
        if entries is None or is_reference(text, match.start()):
            continue
        before = text[lists[index - 1].end() : match.start()] if index else "x"
        after = text[match.end() : lists[index + 1].start()] if index + 1 < len(lists) else "x"
        is_nested = before.strip() == "," or after.strip() == ","
        # choosing among lists looks at their lengths and whether they agree, whatever their entries are
        number_lists.append(FoundList(cast("list[Item]", entries), match.start(), match.end(), is_nested))
    return number_lists


def _read_entries(inner: str, place: int, highest: float) -> list[_Entry] | None:
    """Entries of a list's inner text; None for another list."""
    parts = inner.split(",")
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    entries: list[_Entry] = []
    for part in parts:
        word = part.strip().strip("\"'").strip()
        if _NUMBER.fullmatch(word):
            value = float(word)
            entries.append(_Entry(value if 0 <= value <= highest else None, place + part.index(word)))
        elif word.lower() in UNKNOWN_WORDS:
            entries.append(_Entry(None, place + part.index(word)))
        else:
            return None
        place += len(part) + 1
    return entries if any(entry.value is not None for entry in entries) else None
