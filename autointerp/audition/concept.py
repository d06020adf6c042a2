"""What a planted feature is: what it fires on, and two explanations of it, one right and one slightly wrong.

A rule says in plain English what a regular expression or a function of the text computes; the right rule IS the
feature, and what it says of a window depends on that window's text alone. The slightly wrong one is broader (it also
fires on windows the feature is silent in) or narrower (it is silent in windows the feature fires in). Knows no texts.
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
"""Where in a text a rule fires, as spans of characters."""

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
"""`passage`: code and English as they come. `prose`: sentences without digits, brackets and quotation marks. `code`:
whole Python statements."""


def regex_spans(pattern: str, group: int = 0) -> Truth:
    """The matches of a regular expression, or of one group of it."""
    compiled = re.compile(pattern)
    return lambda text: [match.span(group) for match in compiled.finditer(text)]


@dataclass(frozen=True)
class Rule:
    """An explanation and its meaning, a regular expression or a function: the feature fires on every token that one of
    its spans overlaps."""

    text: str
    truth: str | Truth

    @property
    def pattern(self) -> str | None:
        return self.truth if isinstance(self.truth, str) else None

    @cached_property
    def spans(self) -> Truth:
        return regex_spans(self.truth) if isinstance(self.truth, str) else self.truth

    def fires(self, text: str) -> bool:
        """Whether it fires anywhere in the text."""
        return bool(self.spans(text))

    def holds(self, passage: Passage) -> bool:
        """The right answer about a passage for a judge that is told this explanation; of several marks at least half
        have to be right, as in the scripted judges."""
        marks = passage.marks or ((passage.mark,) if passage.mark is not None else ())
        if not marks:
            return self.fires(passage.text)
        spans = self.spans(passage.text)
        n_hit = sum(any(start < mark[1] and mark[0] < end for start, end in spans) for mark in marks)
        return 2 * n_hit >= len(marks)


@dataclass(frozen=True)
class Concept:
    """One planted feature. `plants` are the kinds of strings to put into text, where text alone has too few.

    `surface` is what one who reads no further than tokens and their neighbours takes for the feature: every window of
    a concept that has it matches it, firing or silent, and the token asked about in a silent window is one of it.
    """

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
        """The wrong explanation made to err both ways, for whoever shows windows of one label alone. Of concepts whose
        rules are regular expressions."""
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
    """A row of a table of concepts."""
    wrong = broader or narrower
    assert wrong is not None
    return Concept(name, family, Rule(*right), Rule(*wrong), "broader" if broader else "narrower", plants, surface)
