"""A planted feature: the rule it fires by, and a slightly wrong one.

The right rule depends on a window's text alone. The wrong one is broader (fires in some silent windows) or narrower
(silent in some firing ones).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from autointerp.judges.tasks import Passage

__all__ = ["LEVELS", "LEVEL_OF", "Concept", "Family", "Genre", "Level", "Rule", "Span", "Truth", "regex_spans"]

Span = tuple[int, int]
Truth = Callable[[str], list[Span]]
"""Spans of characters where a rule fires."""

Level = Literal["easy", "medium", "hard"]
LEVELS: tuple[Level, ...] = ("easy", "medium", "hard")
Family = Literal[
    "script", "pattern", "syntax", "conjunction", "shared_token", "subtle",
    "code_role", "meaning", "long_range", "graded", "mixture",
]  # fmt: skip
LEVEL_OF: dict[Family, Level] = {
    "script": "easy",
    "pattern": "easy",
    "syntax": "medium",
    "conjunction": "medium",
    "shared_token": "medium",
    "subtle": "medium",
    "code_role": "hard",
    "meaning": "hard",
    "long_range": "hard",
    "graded": "hard",
    "mixture": "hard",
}
Genre = Literal["passage", "prose", "code"]
"""`passage`: code and English mixed. `prose`: sentences without digits, brackets and quotation marks. `code`: whole
Python statements."""


def regex_spans(pattern: str, group: int = 0) -> Truth:
    compiled = re.compile(pattern)
    return lambda text: [match.span(group) for match in compiled.finditer(text)]


@dataclass(frozen=True)
class Rule:
    """An explanation and its meaning: tokens that overlap a span fire."""

    text: str
    truth: str | Truth

    @property
    def pattern(self) -> str | None:
        return self.truth if isinstance(self.truth, str) else None

    @cached_property
    def spans(self) -> Truth:
        return regex_spans(self.truth) if isinstance(self.truth, str) else self.truth

    def fires(self, text: str) -> bool:
        return bool(self.spans(text))

    def holds(self, passage: Passage) -> bool:
        """The answer of a faultless judge that is told this rule. Of several marked places half have to fire."""
        marks = passage.marks or ((passage.mark,) if passage.mark is not None else ())
        if not marks:
            return self.fires(passage.text)
        spans = self.spans(passage.text)
        n_hit = sum(any(start < mark[1] and mark[0] < end for start, end in spans) for mark in marks)
        return 2 * n_hit >= len(marks)


@dataclass(frozen=True)
class Concept:
    """`plants`: kinds of strings put into text. `surface`: what tokens and their neighbours suggest; every window
    matches it, and in silent ones the token asked about belongs to a match."""

    name: str
    family: Family
    right: Rule
    wrong: Rule
    wrong_is: Literal["broader", "narrower"]
    plants: tuple[str, ...] = ()
    surface: Truth | None = None

    @property
    def level(self) -> Level:
        return LEVEL_OF[self.family]

    @property
    def genre(self) -> Genre:
        if self.family == "code_role":
            return "code"
        return "passage" if self.surface is None else "prose"

    @property
    def shifted(self) -> Rule:
        """Wrong both ways, for tasks that show one label only. Rules have to be regular expressions."""
        if self.wrong_is == "narrower":
            return Rule(f"{self.wrong.text}; also the words 'for' and 'in'", rf"{self.wrong.pattern}|\b(?:for|in)\b")
        return Rule(
            f"{self.wrong.text}, where a word of eight letters or more stands later in the text shown",
            rf"(?:{self.wrong.pattern})(?=(?s:.*)[A-Za-z]{{8}})",
        )


def concept(
    name: str,
    family: Family,
    right: tuple[str, str | Truth],
    *plants: str,
    broader: tuple[str, str | Truth] | None = None,
    narrower: tuple[str, str | Truth] | None = None,
    surface: Truth | None = None,
) -> Concept:
    wrong = broader or narrower
    assert wrong is not None
    return Concept(name, family, Rule(*right), Rule(*wrong), "broader" if broader else "narrower", plants, surface)
