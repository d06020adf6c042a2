"""From a judge's reply to what it says: an explanation, or a list of answers. Never pads, never guesses, never fails.

What cannot be read with certainty is None and becomes the verdict `unparsed`. Reasoning between think tags is
dropped first. Takes the reply's text; knows nothing of windows, features or labels.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, NamedTuple

__all__ = ["Bit", "is_refusal", "parse_answers", "parse_explanation"]

Bit = Literal[0, 1]

_REASONING = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_REASONING_END = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
_REASONING_START = re.compile(r"^\s*<(?:think|thinking|reasoning)>", re.IGNORECASE | re.MULTILINE)
_EXPLANATION = re.compile(r"\[explanation\][ \t*_]*:?", re.IGNORECASE)
_FLAT_LIST = re.compile(r"\[([^\[\]{}]*)\]")
_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\Z", re.DOTALL)
_ONLY_LIST = re.compile(r"\A(?:(?:final )?answers?\s*[:=]\s*)?([^\[\]{}:=\n]+?)\.?\Z", re.IGNORECASE)
_LIST_BEGUN = re.compile(r"\[\s*[\"']?(?:[01]\b|true|false|yes|no)", re.IGNORECASE)
_BEFORE_FINAL = re.compile(
    r"(?:\A|\n)[ \t]*(?:\{\s*)?(?:[^\n\[\]]{0,60}\b(?:answers?|final)\b[^\n\[\]]{0,20})?\Z", re.IGNORECASE
)
_AFTER_FINAL = re.compile(r"[\s\]}).*`]*\Z")
_REFUSAL = re.compile(
    r"\b(?:i(?:'|’)?m sorry,? but|i (?:can(?:'|’)t|cannot|can not|won(?:'|’)t|will not|am unable to|am not able to)"
    r" (?:help|assist|comply|answer|do that|provide|engage|continue|fulfil|discuss|process|analy[sz]e)"
    r"|i must decline|i have to decline)",
    re.IGNORECASE,
)
_WORDS: dict[str, Bit] = {"1": 1, "0": 0, "true": 1, "false": 0, "yes": 1, "no": 0, "1.0": 1, "0.0": 0}
_UNKNOWN = frozenset({"null", "none", "?", "-", "unknown", "unsure", "unclear", "n/a", "na", "maybe"})


class _Found(NamedTuple):
    """A list of answers in a text; `is_nested` when it is one of several inside an outer list."""

    answers: list[Bit | None]
    start: int
    end: int
    is_nested: bool


def parse_explanation(text: str) -> str | None:
    """What follows the LAST `[EXPLANATION]:`, or None when there is none or nothing follows it."""
    text = _drop_reasoning(text)
    tags = list(_EXPLANATION.finditer(text))
    if not tags:
        return None
    explanation = text[tags[-1].end() :].strip().strip("*_`").strip()
    return explanation or None


def parse_answers(text: str, n: int) -> list[Bit | None] | None:
    """The `n` answers of a reply, in order; an answer that is no plain yes or no is None.

    Reads `{"answers": [...]}` and bare lists of 0/1, true/false or yes/no, fenced or with prose around, or a line
    that is nothing but such a list without brackets. None, so that all answers count as unparsed, where no list has
    exactly `n` entries, where the last list has another length, where a list is cut off, or where lists of the right
    length disagree and the last one is not plainly the final answer.
    """
    text = _drop_reasoning(text).strip()
    fenced = _FENCE.match(text)
    body = fenced[1].strip() if fenced else text
    is_json, value = _load(body)
    if is_json and isinstance(value, dict):
        answers = value.get("answers")
        read = _read_items(answers) if isinstance(answers, list) else None
        return read if read is not None and len(read) == n else None
    found = _find_lists(body)
    if not found:
        return _read_unbracketed(body, n)
    return _choose(body, found, n)


def is_refusal(text: str) -> bool:
    """Whether a reply that could not be parsed says that the judge declines to answer."""
    return bool(_REFUSAL.search(_drop_reasoning(text)[:400]))


def _drop_reasoning(text: str) -> str:
    """The text without its reasoning: closed blocks, what stands before a stray end tag, and a block left open."""
    text = _REASONING.sub("", text)
    *_, text = _REASONING_END.split(text)
    opened = _REASONING_START.search(text)
    return text[: opened.start()] if opened else text


def _load(text: str) -> tuple[bool, Any]:
    # Two keys of one name would let the second silently win, so such an object is kept as it stands: unreadable.
    try:
        return True, json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return False, None


def _unique(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def _find_lists(text: str) -> list[_Found]:
    """All flat bracketed lists that read as answers, in order."""
    lists = list(_FLAT_LIST.finditer(text))
    found: list[_Found] = []
    for index, match in enumerate(lists):
        answers = _read_text(match[1])
        if answers is None:
            continue
        before = text[lists[index - 1].end() : match.start()] if index else "x"
        after = text[match.end() : lists[index + 1].start()] if index + 1 < len(lists) else "x"
        is_nested = before.strip() == "," or after.strip() == ","
        found.append(_Found(answers, match.start(), match.end(), is_nested))
    return found


def _choose(text: str, found: list[_Found], n: int) -> list[Bit | None] | None:
    """The list that is the final answer, or None where that is not certain."""
    if n > 1:
        # "[1]" in prose is a reference to a window, not an answer about several.
        found = [f for f in found if len(f.answers) > 1] or found
    last = found[-1]
    right = [f for f in found if len(f.answers) == n]
    if len(last.answers) != n or last.is_nested or _LIST_BEGUN.search(text[last.end :].partition("]")[0]):
        return None
    if all(f.answers == last.answers for f in right):
        return last.answers
    earlier = right[-2].end
    between = text[earlier : last.start]
    is_final = _BEFORE_FINAL.search("\n" + between if not earlier else between) and _AFTER_FINAL.match(text[last.end :])
    return last.answers if is_final else None


def _read_unbracketed(text: str, n: int) -> list[Bit | None] | None:
    """Answers without brackets: the only line of the text that is nothing but such a list."""
    rows = [_ONLY_LIST.match(line.strip(" \t*`")) for line in text.splitlines()]
    read = [answers for row in rows if row and (answers := _read_text(row[1])) is not None]
    if len(read) != 1 or len(read[0]) != n:
        return None
    if n == 1 and len(text.splitlines()) > 1:
        return None
    return read[0]


def _read_text(inner: str) -> list[Bit | None] | None:
    """The answers of a list as it stands between its brackets, or None when it is no list of answers."""
    parts = inner.strip().split(",")
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    return _read_items([part.strip().strip("\"'").strip() for part in parts])


def _read_items(items: list[Any]) -> list[Bit | None] | None:
    """Values as answers; None when any of them shows that this is a list of something else."""
    read: list[Bit | None] = []
    for item in items:
        if item is None:
            read.append(None)
        elif not isinstance(item, str | int | float):
            return None
        elif (word := str(item).strip().lower()) in _WORDS:
            read.append(_WORDS[word])
        elif word in _UNKNOWN:
            read.append(None)
        else:
            return None
    return read if any(answer is not None for answer in read) else None
