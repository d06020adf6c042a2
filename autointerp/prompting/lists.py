"""Lists of answers in a text, and which of them is the answer.

Drafts, references and quoted windows may surround it, so lists are judged by the text around them. Every pattern runs
in one pass.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

__all__ = [
    "BACKTICK",
    "LABEL_WORDS",
    "QUOTATION",
    "UNKNOWN_WORDS",
    "Bit",
    "FoundList",
    "Item",
    "are_quoted",
    "begins_text",
    "choose_list",
    "find_lists",
    "is_reference",
    "read_items",
    "read_unbracketed",
    "read_values",
]

Bit = Literal[0, 1]

LABEL_WORDS: dict[str, Bit] = {"1": 1, "0": 0, "true": 1, "false": 0, "yes": 1, "no": 0, "1.0": 1, "0.0": 0}
"""Spellings of an answer, in any case."""
UNKNOWN_WORDS = frozenset({"null", "none", "?", "-", "unknown", "unsure", "unclear", "n/a", "na", "maybe"})
"""Spellings of an unknown answer."""

QUOTATION = re.compile(r"(?<!\\)\"|[\u201c\u201d]")
"""Quotation marks; an escaped one does not count."""
BACKTICK = re.compile(r"`")

_FLAT_LIST = re.compile(r"\[([^\[\]{}]*)\]")
_ONLY_LIST = re.compile(r"\A(?:(?:final )?answers?\s*[:=]\s*)?([^\[\]{}:=\n]+?)\.?\Z", re.IGNORECASE)
_LIST_BEGUN = re.compile(r"\[\s*[\"']?(?:[01]\b|true|false|yes|no)", re.IGNORECASE)
_REFERENCE = re.compile(
    r"\b(?:windows?|passages?|texts?|tokens?|entr(?:y|ies)|items?|examples?|numbers?|no\.|lines?)\s?\Z", re.IGNORECASE
)
_BEGINNING = re.compile(r"(?:```\w{0,10}\s*)?(?:\{\s*\"answers\"\s*:\s*)?\Z")
_FINAL_WORD = re.compile(r"\b(?:answers?|final)\b[^\n\[\]]{0,20}\Z", re.IGNORECASE)
_LABELLED = re.compile(r"\b(?:answers?|final)[\"'*_]{0,4}\s?[:=]\W{0,4}\Z", re.IGNORECASE)
_CLOSED = re.compile(r"[\s\]}).,;!*`\"']*\Z")
_FENCE_BEGUN = re.compile(r"```\w{0,10}\s*\Z")
_GROUP = re.compile(r"\[[^\[\]]*\]")
_OPENING = " \t*>`-_[({"
_N_AROUND = 120
"""Characters of context considered before and after a list."""


class Item(NamedTuple):
    """One answer, None if unknown, and the place of its word."""

    value: Bit | None
    start: int


class FoundList(NamedTuple):
    """`is_nested`: one of several lists inside another."""

    items: list[Item]
    start: int
    end: int
    is_nested: bool

    @property
    def values(self) -> tuple[Bit | None, ...]:
        return tuple(item.value for item in self.items)


def find_lists(text: str) -> list[FoundList]:
    """Flat bracketed lists of answers, neither quoted nor references, in order."""
    lists = list(_FLAT_LIST.finditer(text))
    answer_lists: list[FoundList] = []
    for index, (match, is_quoted) in enumerate(zip(lists, are_quoted(text, lists, [QUOTATION]), strict=True)):
        items = None if is_quoted else read_items(match[1], match.start(1))
        if items is None or is_reference(text, match.start()):
            continue
        before = text[lists[index - 1].end() : match.start()] if index else "x"
        after = text[match.end() : lists[index + 1].start()] if index + 1 < len(lists) else "x"
        is_nested = before.strip() == "," or after.strip() == ","
        answer_lists.append(FoundList(items, match.start(), match.end(), is_nested))
    return answer_lists


def is_reference(text: str, place: int) -> bool:
    """Whether the list names windows, as in "windows [0, 1]"."""
    return _REFERENCE.search(text[max(0, place - _N_AROUND) : place]) is not None


def choose_list(text: str, found: Sequence[FoundList], n: int) -> list[Item] | None:
    """The answer to `n` questions; None where uncertain.

    It must be the last list begun. A single list must begin or end its line, or be called the answer. Among differing
    lists the last must be called the answer and end the reply, and no other may be called so or begin the reply.
    """
    if n > 1:
        # "[1]" in prose is a reference to a window, not an answer about several.
        found = [f for f in found if len(f.items) > 1] or found
    last = found[-1]
    is_another_begun = _LIST_BEGUN.search(text, max(last.end, text.rfind("]") + 1)) is not None
    if len(last.items) != n or last.is_nested or is_another_begun:
        return None
    right = [f for f in found if len(f.items) == n]
    others = [f for f in right if f.values != last.values]
    is_last_word = bool(_CLOSED.match(text[last.end :]))
    if others:
        is_final = is_last_word and _is_called_final(text, last)
        is_rivalled = any(_is_called_final(text, f) or begins_text(text, f) for f in others)
        return last.items if is_final and not is_rivalled else None
    if n == 1:
        return last.items if is_last_word and (_is_called_final(text, last) or _begins_line(text, last)) else None
    return last.items if len(right) > 1 or _has_place(text, last) else None


def begins_text(text: str, found: FoundList) -> bool:
    """Whether nothing but its own wrapping precedes the list."""
    return bool(_BEGINNING.match(text[: found.start].rstrip("[ ")))


def read_unbracketed(text: str, n: int) -> list[Item] | None:
    """The only line that is nothing but a list without brackets."""
    read: list[list[Item]] = []
    place = 0
    for line in text.splitlines(keepends=True):
        inner = line.strip(" \t*`\r\n")
        row = _ONLY_LIST.match(inner)
        if row and (items := read_items(row[1], place + line.index(inner) + row.start(1))) is not None:
            read.append(items)
        place += len(line)
    is_certain = len(read) == 1 and len(read[0]) == n and (n > 1 or len(text.splitlines()) == 1)
    return read[0] if is_certain else None


def read_items(inner: str, place: int) -> list[Item] | None:
    """Answers of a list's inner text, which begins at `place`; None for another list."""
    parts = inner.split(",")
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    words = [part.strip().strip("\"'").strip() for part in parts]
    values = read_values(words)
    if values is None:
        return None
    items: list[Item] = []
    for part, word, value in zip(parts, words, values, strict=True):
        items.append(Item(value, place + part.index(word)))
        place += len(part) + 1
    return items


def read_values(items: list[Any]) -> tuple[Bit | None, ...] | None:
    """None when any value is no answer."""
    read: list[Bit | None] = []
    for item in items:
        if item is None:
            read.append(None)
        elif not isinstance(item, str | int | float):
            return None
        elif (word := str(item).strip().lower()) in LABEL_WORDS:
            read.append(LABEL_WORDS[word])
        elif word in UNKNOWN_WORDS:
            read.append(None)
        else:
            return None
    return tuple(read) if any(answer is not None for answer in read) else None


def are_quoted(text: str, matches: Sequence[re.Match[str]], kinds: Sequence[re.Pattern[str]]) -> list[bool]:
    """Per match, whether a quotation before it in its line is still open."""
    quoted: list[bool] = []
    counts, last = [0] * len(kinds), 0
    for match in matches:
        between, last = text[last : match.start()], match.start()
        line_break = between.rfind("\n")
        if line_break >= 0:
            between, counts = between[line_break:], [0] * len(kinds)
        counts = [n + len(kind.findall(between)) for n, kind in zip(counts, kinds, strict=True)]
        quoted.append(any(n % 2 for n in counts))
    return quoted


def _line_before(text: str, place: int) -> tuple[str, bool]:
    """Text before `place` in its line, within reach, and whether it is complete."""
    first = max(0, place - _N_AROUND)
    line_break = text.rfind("\n", first, place)
    return text[max(first, line_break + 1) : place], first == 0 or line_break >= 0


def _begins_line(text: str, found: FoundList) -> bool:
    before, is_whole = _line_before(text, found.start)
    return is_whole and not _GROUP.sub("", before).strip(_OPENING)


def _is_called_final(text: str, found: FoundList) -> bool:
    # the announcement may stand in the line before
    before = _FENCE_BEGUN.sub("", text[max(0, found.start - _N_AROUND) : found.start])
    return bool(_FINAL_WORD.search(before.rstrip(_OPENING + "\r\n")))


def _has_place(text: str, found: FoundList) -> bool:
    """Whether the list begins or ends its line, or is announced as the answer."""
    after = text[found.end : found.end + _N_AROUND].partition("\n")[0]
    announced = _LABELLED.search(_line_before(text, found.start)[0].rstrip("["))
    return _begins_line(text, found) or bool(_CLOSED.match(after)) or bool(announced)
