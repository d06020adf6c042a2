"""Removal of a model's reasoning from its reply: tags (`<think>`, `[THINK]`, ...), channels (Gemma, gpt-oss), lone end
tags (DeepSeek).

Windows may contain such tags and judges repeat them, so a tag counts by its place: an opening one at a line's
beginning, a lone end tag apart from prose, none that is quoted or follows an answer. Output has the input's length,
with spaces, so that places agree.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from autointerp.prompting.lists import QUOTATION, are_quoted

__all__ = ["blank_reasoning"]

_TAG = re.compile(
    r"<(?P<end>/?)(?P<name>(?:[a-z]{1,8}:)?(?:think|thinking|thoughts?|reasoning))>"
    r"|\u25c1(?P<kimi>/?)think\u25b7"
    r"|\[(?P<mistral>/?)THINK\]"
    r"|<\|(?P<cohere>START|END)_THINKING\|>"
    r"|<\|(?P<sky>begin|end)_of_thought\|>"
    r"|(?P<gemma><\|channel>|<channel\|>)",
    re.IGNORECASE,
)
_ENDS = {"end": "/", "kimi": "/", "mistral": "/", "cohere": "END", "sky": "end", "gemma": "<channel|>"}
_ANSWER_FIRST = re.compile(
    r"\s*(?:```\w{0,10}\s*)?(?:\{\s*[\"']|\[\s*[\"'\[]?\s*(?:[01]\b|true\b|false\b|yes\b|no\b))", re.IGNORECASE
)
_MESSAGE = re.compile(
    r"(?:\A\s*|<\|start\|>\s?assistant|<\|end\|>(?:\s?assistant)?)"
    r"<\|channel\|>\s*(\w{1,20})[^<]{0,80}(?:<\|constrain\|>[^<]{0,20})?<\|message\|>"
)
_MESSAGE_END = re.compile(r"<\|(?:end|return|start|channel|call)\|>")
_STRIPPED_FINAL = "assistantfinal"
_TURN_END = re.compile(
    r"(?:<\|(?:end|return|im_end|eot_id|eom_id|eot|endoftext|end_of_text|end_of_turn|end_of_turn_token|end_response)\|>"
    r"|</s>|<end_of_turn>|<turn\|>)\Z",
    re.IGNORECASE,
)
_LONGEST_TURN_END, _MOST_TURN_ENDS = 40, 4
_PAIRS = {('"', '"'), ("'", "'"), ("`", "`"), ("\u201c", "\u201d"), ("\u2018", "\u2019")}


def blank_reasoning(text: str) -> str:
    """`text` with spaces for blocks, text before a lone end tag, and an unclosed block."""
    text = _blank_turn_ends(text)
    if _ANSWER_FIRST.match(text) is None:
        text = _blank_channels(text)
    return _blank_tags(text)


def _blank_tags(text: str) -> str:
    tags = _without_quoted(text, list(_TAG.finditer(text)))
    spans: list[tuple[int, int]] = []
    kept = number = 0
    is_answered = _ANSWER_FIRST.match(text) is not None
    while number < len(tags):
        tag = tags[number]
        number += 1
        if _is_end(tag):
            if is_answered:
                continue
            if _stands_apart(text, tag):
                spans.append((kept, tag.end()))
                kept = tag.end()
                is_answered = _ANSWER_FIRST.match(text, kept) is not None
            elif not kept:
                # a lone end tag amid prose leaves open what was reasoning: all of it is
                return " " * len(text)
        elif _begins_line(text, tag.start(), kept):
            ends = (i for i in range(number, len(tags)) if _closes(tag, tags[i]))
            closing = next(ends, None)
            kept = len(text) if closing is None else tags[closing].end()
            spans.append((tag.start(), kept))
            number = len(tags) if closing is None else closing + 1
            is_answered = _ANSWER_FIRST.match(text, kept) is not None
    return _blank(text, spans)


def _blank_channels(text: str) -> str:
    """Only gpt-oss' last message on channel `final` is the reply; without one, all is reasoning."""
    # some servers drop the tokens between the parts and leave their names
    if text.startswith("analysis") and _STRIPPED_FINAL in text:
        return _blank(text, [(0, text.rindex(_STRIPPED_FINAL) + len(_STRIPPED_FINAL))])
    messages = _without_quoted(text, list(_MESSAGE.finditer(text)))
    if not messages or _TAG.search(text, 0, messages[0].start()):
        return text  # a model has one dress: what looks like another is repeated
    finals = [message for message in messages if message[1] == "final"]
    if finals:
        end = _MESSAGE_END.search(text, finals[-1].end())
        return _blank(text, [(0, finals[-1].end()), (end.start() if end else len(text), len(text))])
    is_all = not text[: messages[0].start()].replace("<|start|>assistant", "").strip()
    return _blank(text, [(0, len(text))]) if is_all else text


def _blank_turn_ends(text: str) -> str:
    """Blank turn-ending tokens that some servers leave in the text."""
    end = len(text.rstrip())
    for _ in range(_MOST_TURN_ENDS):
        match = _TURN_END.search(text[max(0, end - _LONGEST_TURN_END) : end])
        if match is None:
            break
        end = len(text[: end - len(match[0])].rstrip())
    return text[:end] + " " * (len(text) - end)


def _kind(tag: re.Match[str]) -> str:
    return (tag["name"] or tag.lastgroup or "").lower()


def _is_end(tag: re.Match[str]) -> bool:
    return any((tag[group] or "").lower() == word.lower() for group, word in _ENDS.items())


def _closes(opening: re.Match[str], tag: re.Match[str]) -> bool:
    return _is_end(tag) and _kind(tag) == _kind(opening)


def _begins_line(text: str, place: int, start: int) -> bool:
    """Whether only blanks precede `place` in its line, or since `start`."""
    while place > start and text[place - 1] in " \t":
        place -= 1
    return place == start or text[place - 1] in "\r\n"


def _stands_apart(text: str, tag: re.Match[str]) -> bool:
    """Whether a lone end tag is at its line's edge or directly before an answer."""
    after = text[tag.end() : tag.end() + 1]
    return _begins_line(text, tag.start(), 0) or after in ("", "\r", "\n", "[", "{", "`")


def _without_quoted(text: str, matches: list[re.Match[str]]) -> list[re.Match[str]]:
    """Matches outside of quotation marks."""
    if not matches:
        return []
    marks = [mark.start() for mark in QUOTATION.finditer(text)]

    def is_quoted(match: re.Match[str], is_open: bool) -> bool:
        if (text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]) in _PAIRS:
            return True
        index = bisect_left(marks, match.end())
        return is_open and index < len(marks) and text.find("\n", match.end(), marks[index]) < 0

    opened = are_quoted(text, matches, [QUOTATION])
    return [match for match, is_open in zip(matches, opened, strict=True) if not is_quoted(match, is_open)]


def _blank(text: str, spans: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    last = 0
    for start, end in spans:
        parts += [text[last:start], " " * (end - start)]
        last = end
    return "".join([*parts, text[last:]])
