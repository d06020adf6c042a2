"""Explanations and lists of answers in a judge's reply; None where uncertain, never an exception.

Reasoning is dropped first. Quoted lists do not count: a window may hold an instruction with a list.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from autointerp.prompting.keyed_lists import numbered_lines, plain_list
from autointerp.prompting.lists import (
    BACKTICK,
    QUOTATION,
    Bit,
    Item,
    are_quoted,
    begins_text,
    choose_list,
    find_lists,
    read_items,
    read_unbracketed,
    read_values,
)
from autointerp.prompting.reasoning import blank_reasoning
from autointerp.prompting.reply_json import json_amid_prose, load_json

__all__ = ["Answers", "diagnose", "find_answers", "parse_answers", "parse_explanation"]

LONGEST_REPLY = 50_000
"""Characters without reasoning; lists of answers are far shorter."""

_EXPLANATION = re.compile(r"\[explanation\][ \t*_]*:?", re.IGNORECASE)
_NAMED_LIST = re.compile(r"\"(\w{1,40})\"\s*:\s*\[([^\[\]{}]*)\]")
_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\Z", re.DOTALL)


class Answers(NamedTuple):
    """Answers in order; `starts` are the places of their words in the text where known."""

    values: tuple[Bit | None, ...]
    starts: tuple[int, ...] | None


def parse_explanation(text: str, *, is_cut: bool = False) -> str | None:
    """Text after the last unquoted `[EXPLANATION]:`, None without any; of a cut-off reply (`is_cut`) its first line, if
    finished.
    """
    text = blank_reasoning(text)
    tags = list(_EXPLANATION.finditer(text))
    quoted = are_quoted(text, tags, [QUOTATION, BACKTICK])
    ends = [tag.end() for tag, is_quoted in zip(tags, quoted, strict=True) if not is_quoted]
    if not ends:
        return None
    explanation = _without_emphasis(text[ends[-1] :].strip())
    if is_cut:
        explanation, line_break, _ = explanation.partition("\n")
        explanation = explanation.strip() if line_break else ""
    return explanation or None


def parse_answers(text: str, n: int, *, is_cut: bool = False) -> list[Bit | None] | None:
    answers = find_answers(text, n, is_cut=is_cut)
    return None if answers is None else list(answers.values)


def find_answers(text: str, n: int, *, is_cut: bool = False) -> Answers | None:
    """The `n` answers in order, each None if unclear; None for all where the list is uncertain.

    Reads `{"answers": [...]}`, bare lists of 0/1, true/false or yes/no, one line without brackets, and numbered entries
    (`keyed_lists`). Nothing is read from lists of another length, cut off, quoted, naming windows, or contradicted by
    another list. Of a cut-off reply (`is_cut`) only a list at the beginning counts: a later one may be a draft.
    """
    body, start = reply_body(text)
    if len(body) > LONGEST_REPLY:
        return None
    is_json, value = load_json(body)
    if is_json and isinstance(value, dict):
        return _read_object(body, value, n, start)
    if is_json and (isinstance(value, str) or (isinstance(value, list) and dict in map(type, value))):
        return _keyed(value, n)
    answer_lists = find_lists(body)
    if is_cut:
        answer_lists = answer_lists[:1] if answer_lists and begins_text(body, answer_lists[0]) else []
        items = choose_list(body, answer_lists, n) if answer_lists else None
    else:
        items = (
            choose_list(body, answer_lists, n) if answer_lists else read_unbracketed(body, n) or _read_lines(body, n)
        )
        if items is None and not answer_lists:
            return _keyed(json_amid_prose(body), n)
    return None if items is None else _answers(items, start)


def _keyed(value: Any, n: int) -> Answers | None:
    """Answers of a JSON value that is no plain list."""
    entries = plain_list(value, n, name="answers")
    values = None if entries is None else read_values(entries)
    return None if values is None else Answers(values, None)


def _read_lines(body: str, n: int) -> list[Item] | None:
    lines = numbered_lines(body, n)
    values = None if lines is None else read_values([line.word for line in lines])
    if lines is None or values is None:
        return None
    return [Item(value, line.start) for value, line in zip(values, lines, strict=True)]


def _answers(items: list[Item], start: int) -> Answers:
    return Answers(tuple(item.value for item in items), tuple(start + item.start for item in items))


def diagnose(text: str, n: int, *, is_cut: bool = False) -> str:
    """Reason for an unreadable reply, in words for the judge, without quoting it."""
    body, _ = reply_body(text)
    if is_cut:
        return "it was cut off before its end"
    if not body:
        return "it was empty"
    is_json, value = load_json(body) if len(body) <= LONGEST_REPLY else (False, None)
    listed = value.get("answers") if is_json and isinstance(value, dict) else None
    lengths = {len(answers.items) for answers in find_lists(body[:LONGEST_REPLY])}
    if isinstance(listed, list):
        lengths = {len(listed)}
    if lengths == {n}:
        return "it did not give one list of answers as its last word"
    if len(lengths) == 1:
        return f"its list had another length, {lengths.pop()}"
    return "it held lists of several lengths" if lengths else "no list of answers could be found in it"


def reply_body(text: str) -> tuple[str, int]:
    """Text without reasoning and fence, and its place in the reply."""
    text = blank_reasoning(text)
    start = len(text) - len(text.lstrip())
    body = text.strip()
    fenced = _FENCE.match(body)
    if fenced is None:
        return body, start
    inner = fenced[1]
    return inner.strip(), start + fenced.start(1) + len(inner) - len(inner.lstrip())


def _read_object(body: str, value: dict[str, Any], n: int, start: int) -> Answers | None:
    """Answers under `answers`, in the only list, or under numbers."""
    names = ["answers"] if "answers" in value else [name for name in value if isinstance(value[name], list)]
    listed = value[names[0]] if len(names) == 1 else None
    if not isinstance(listed, list) or dict in map(type, listed):
        return _keyed(value, n)
    values = read_values(listed)
    if values is None or len(values) != n:
        return None
    lists = [read_items(match[2], match.start(2)) for match in _NAMED_LIST.finditer(body) if match[1] == names[0]]
    # places are known only where one list of the text fits
    same = [items for items in lists if items is not None and tuple(item.value for item in items) == values]
    return Answers(values, tuple(start + item.start for item in same[0]) if len(same) == 1 else None)


def _without_emphasis(text: str) -> str:
    """Without one half of a Markdown pair around the tag."""
    for marks in ("**", "__", "*"):
        if text.count(marks) % 2 == 0:
            continue
        if text.startswith(marks):
            return text.removeprefix(marks).strip()
        if text.endswith(marks):
            return text.removesuffix(marks).strip()
    return text
