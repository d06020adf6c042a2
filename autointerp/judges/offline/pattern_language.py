"""Language of patterns: tokens with optional contexts.

    fires on " return" (10), on -"ing" (7), on ":" directly after ")" (4), on "x" soon after "def" (2)

Strings are JSON. Beside a token, a hyphen means the word goes on, a tilde that it may, neither that it ends. "soon
after" reaches back 40 characters. Numbers are strengths, 10 the highest.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["NEAR_CHARACTERS", "Element", "Join", "is_inside_word", "near_words", "parse_pattern", "render_pattern"]

NEAR_CHARACTERS = 40
"""Reach of a `soon after` context."""

Join = Literal["-", "~", ""]
"""Whether the word goes on, may go on, or ends."""

_STRING = r'"(?:[^"\\]|\\.)*"'
_ELEMENT = re.compile(rf"\bon ([-~]?)({_STRING})([-~]?)(?: (directly|soon) after ({_STRING}))?(?: \((\d+)\))?")
_NEAR_WORD = re.compile(r"\w{2,}")


@dataclass(frozen=True, slots=True)
class Element:
    """One token; `strength` is 1 to 10, `context` stands before it, touching or near."""

    token: str
    left: Join = ""
    right: Join = ""
    context: str | None = None
    is_near: bool = False
    strength: int = 10

    def matches_at(self, text: str, start: int, end: int) -> bool:
        """Whether the context fits before `text[start:end]`."""
        if self.context is None:
            return True
        if self.is_near:
            return self.context in near_words(text, start)
        return text.endswith(self.context, 0, start)

    def matches_mark(self, text: str, span: tuple[int, int]) -> bool:
        marked = text[span[0] : span[1]]
        # a token that holds part of a character is marked with all of it
        widened = len(marked) == len(self.token) + 1 and not marked.isascii() and marked.endswith(self.token)
        return (marked == self.token or (bool(self.token) and widened)) and self.matches_at(text, *span)

    def matches_text(self, text: str) -> bool:
        """Whether the token occurs with the right joins."""
        start = text.find(self.token) if self.token else -1
        while start >= 0:
            end = start + len(self.token)
            is_whole = _fits(text, start - 1, start, self.left) and _fits(text, end - 1, end, self.right)
            if is_whole and self.matches_at(text, start, end):
                return True
            start = text.find(self.token, start + 1)
        return False


def _fits(text: str, before: int, after: int, join: Join) -> bool:
    # the text's edge fits anything
    if join == "~" or before < 0 or after >= len(text):
        return True
    return is_inside_word(text[before], text[after]) == (join == "-")


def near_words(text: str, start: int) -> set[str]:
    """Words of two and more characters within reach of `soon after`."""
    return set(_NEAR_WORD.findall(text, max(0, start - NEAR_CHARACTERS), start))


def is_inside_word(before: str, after: str) -> bool:
    return (before.isalnum() or before == "_") and (after.isalnum() or after == "_")


def render_pattern(elements: list[Element]) -> str:
    """Text that `parse_pattern` reads back."""
    parts = []
    for element in elements:
        part = f"on {element.left}{json.dumps(element.token, ensure_ascii=False)}{element.right}"
        if element.context is not None:
            where = "soon" if element.is_near else "directly"
            part += f" {where} after {json.dumps(element.context, ensure_ascii=False)}"
        parts.append(f"{part} ({element.strength})")
    return "fires " + ", ".join(parts)


def parse_pattern(explanation: str) -> list[Element]:
    """Empty without a pattern."""
    if not explanation.lstrip().lower().startswith("fires on "):
        return []
    elements: list[Element] = []
    for left, token, right, where, context, strength in _ELEMENT.findall(explanation):
        try:
            before = json.loads(context, strict=False) if context else None
            element = Element(
                json.loads(token, strict=False), left, right, before, where == "soon", int(strength or 10)
            )
        except ValueError:
            continue
        if element.token:
            elements.append(element)
    return elements
