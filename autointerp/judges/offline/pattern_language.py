"""Language of patterns: tokens with optional contexts, how often each fires, and from where on it counts.

    fires on "x" soon after "def" (2, 90%), on -"ing" (7, 30%); texts from 60%, marks from 4%, tokens from 25%

Strings are JSON. Beside a token, a hyphen means the word goes on, a tilde that it may, neither that it ends. "soon
after" reaches back 40 characters. In brackets: strength, 10 the highest, and share of the occurrences that fire; of a
token's elements the first that fits holds, those with a context before the one without. Firing is called a text from a
sum of shares over its tokens on (`texts`), a marked token from a share on (`marks`), and each token where all of a text
are asked about (`tokens`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Literal

__all__ = ["NEAR_CHARACTERS", "Element", "Join", "Pattern", "is_inside_word", "near_words", "parse_pattern"]

NEAR_CHARACTERS = 40
"""Reach of a `soon after` context."""

Join = Literal["-", "~", ""]
"""Whether the word goes on, may go on, or ends."""

_STRING = r'"(?:[^"\\]|\\.)*"'
_PERCENT = r"(\d+(?:\.\d)?)%"
_ELEMENT = re.compile(
    rf"\bon ([-~]?)({_STRING})([-~]?)(?: (directly|soon) after ({_STRING}))?(?: \((\d+)(?:, {_PERCENT})?\))?"
)
_CUTS = re.compile(rf"; texts from {_PERCENT}, marks from {_PERCENT}, tokens from {_PERCENT}$")
_NEAR_WORD = re.compile(r"\w{2,}")


@dataclass(frozen=True, slots=True)
class Element:
    """One token; `strength` is 1 to 10, `share` in thousandths, `context` stands before it, touching or near."""

    token: str
    left: Join = ""
    right: Join = ""
    context: str | None = None
    is_near: bool = False
    strength: int = 10
    share: int = 1000

    def matches_at(self, text: str, start: int) -> bool:
        """Whether the context fits before `text[start:]`."""
        if self.context is None:
            return True
        if self.is_near:
            return self.context in near_words(text, start)
        return text.endswith(self.context, 0, start)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Elements, and the least shares, in thousandths, that are called firing.

    `text_from`: sum over a text; `mark_from`: of one marked token; `token_from`: of each where all tokens are asked
    about. Sums of integers are equal on every processor.
    """

    elements: tuple[Element, ...]
    text_from: int = 500
    mark_from: int = 500
    token_from: int = 500
    _by_token: dict[str, list[Element]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for element in sorted(self.elements, key=lambda element: element.context is None):
            self._by_token.setdefault(element.token, []).append(element)

    def at(self, text: str, start: int, end: int) -> Element | None:
        """The element that fits the token at `text[start:end]`."""
        token = text[start:end]
        elements = self._by_token.get(token)
        if elements is None:
            if token.isascii():
                return None
            elements = self._by_token.get(token[1:], ())  # one that holds part of a character is marked with all of it
        for element in elements:
            if element.matches_at(text, start):
                return element
        return None

    def share(self, text: str, start: int, end: int) -> int:
        element = self.at(text, start, end)
        return 0 if element is None else element.share

    def total(self, text: str, starts: Sequence[int] = ()) -> int:
        """Sum of the shares of a text's tokens; without their `starts`, of what reads like them."""
        spans = pairwise((*starts, len(text))) if starts else self._find(text)
        return sum(self.shares(text, spans))

    def shares(self, text: str, spans: Iterable[tuple[int, int]]) -> list[int]:
        """`share` of each of a text's tokens."""
        # most are no element's: they are told apart without a call
        known = self._by_token
        return [
            self.share(text, start, end) if (token := text[start:end]) in known or not token.isascii() else 0
            for start, end in spans
        ]

    def _find(self, text: str) -> Iterator[tuple[int, int]]:
        for token, (first, *_) in self._by_token.items():
            start = text.find(token)
            while start >= 0:
                end = start + len(token)
                if _fits(text, start - 1, start, first.left) and _fits(text, end - 1, end, first.right):
                    yield start, end
                start = text.find(token, start + 1)

    def render(self) -> str:
        """Text that `parse_pattern` reads back."""
        parts = []
        for element in self.elements:
            part = f"on {element.left}{json.dumps(element.token, ensure_ascii=False)}{element.right}"
            if element.context is not None:
                where = "soon" if element.is_near else "directly"
                part += f" {where} after {json.dumps(element.context, ensure_ascii=False)}"
            parts.append(f"{part} ({element.strength}, {_percent(element.share)})")
        texts, marks, tokens = map(_percent, (self.text_from, self.mark_from, self.token_from))
        return f"fires {', '.join(parts)}; texts from {texts}, marks from {marks}, tokens from {tokens}"


def _percent(thousandths: int) -> str:
    return f"{thousandths / 10:.1f}%".replace(".0%", "%")


def _thousandths(percent: str) -> int:
    return round(10 * float(percent))


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


@lru_cache(maxsize=256)
def parse_pattern(explanation: str) -> Pattern | None:
    """None without a pattern. What is not said (as before shares were) is 100% for shares and 50% for the rest."""
    if not explanation.lstrip().lower().startswith("fires on "):
        return None
    elements: list[Element] = []
    for left, token, right, where, context, strength, share in _ELEMENT.findall(explanation):
        try:
            name, before = json.loads(token, strict=False), json.loads(context, strict=False) if context else None
        except ValueError:
            continue
        if name:
            thousandths = _thousandths(share or "100")
            elements.append(Element(name, left, right, before, where == "soon", int(strength or 10), thousandths))
    cuts = _CUTS.search(explanation)
    return Pattern(tuple(elements), *map(_thousandths, cuts.groups() if cuts else ())) if elements else None
