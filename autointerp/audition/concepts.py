"""All planted features, and the explanations of them that a judge is told."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal

from autointerp.audition.concept import LEVEL_OF, LEVELS, Concept, Level, Rule
from autointerp.audition.hard_concepts import HARD
from autointerp.audition.plain_concepts import PLAIN

__all__ = ["CONCEPTS", "TOLD", "Told", "Wording", "chosen", "explanation", "foreign_of", "rule_of"]

Told = Literal["right", "wrong", "foreign"]
"""`foreign`: right explanation of a feature of another family."""
TOLD: tuple[Told, ...] = ("right", "wrong", "foreign")
Wording = Literal["plain", "rule"]
"""`plain`: English. `rule`: `regex: PATTERN`, which the judge `literal` applies."""

CONCEPTS: tuple[Concept, ...] = (*PLAIN, *HARD)


def chosen(n: int, levels: Sequence[Level] = LEVELS) -> tuple[Concept, ...]:
    """`n` concepts, or all: levels in turn, in each the families in turn."""
    by_family = {family: [one for one in CONCEPTS if one.family == family] for family in LEVEL_OF}
    by_level = [_in_turn([by_family[f] for f in LEVEL_OF if LEVEL_OF[f] == level]) for level in levels]
    return tuple(_in_turn(by_level)[:n])


def _in_turn(groups: Sequence[Sequence[Concept]]) -> list[Concept]:
    return [concept for turn in zip_longest(*groups) for concept in turn if concept is not None]


def foreign_of(concept: Concept) -> Concept:
    """A fixed concept of another family; a regular expression if this one is."""
    own = HARD if concept in HARD else PLAIN
    return own[(own.index(concept) + len(own) // 2) % len(own)]


def explanation(concept: Concept, told: Told, wording: Wording = "plain") -> str:
    rule = rule_of(concept, told)
    return f"regex: {rule.pattern}" if wording == "rule" else f"The feature fires on {rule.text}; each part fires."


def rule_of(concept: Concept, told: Told) -> Rule:
    if told == "foreign":
        return foreign_of(concept).right
    return concept.right if told == "right" else concept.wrong
