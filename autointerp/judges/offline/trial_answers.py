"""Answers to trials and graded questions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, combinations, pairwise

from autointerp.judges.tasks import (
    GroupTask,
    IntruderTask,
    LikelihoodTask,
    Passage,
    PickEffectTask,
    RateTask,
    ScoreTask,
    SimilarityTask,
)

__all__ = ["Trial", "answer_trial", "as_score_task", "find_groups", "find_odd_one"]


Trial = IntruderTask | GroupTask | PickEffectTask | SimilarityTask | LikelihoodTask | RateTask

_LIKE, _UNLIKE = 0.9, 0.1
"""Probabilities for firing and for silent passages."""


def as_score_task(task: Trial) -> ScoreTask:
    """The labels a trial rests on."""
    if isinstance(task, PickEffectTask):
        tokens = tuple(Passage(token) for effect in task.effects for token in effect.raised)
        return ScoreTask(task.explanation, tokens, asks="promotes")
    explanation = "" if isinstance(task, IntruderTask | GroupTask) else task.explanation
    return ScoreTask(explanation, tuple(Passage(passage.text) for passage in task.passages))


def answer_trial(task: Trial, labels: Sequence[bool]) -> tuple[object, tuple[float, ...] | None]:
    """Reply and probabilities by labels: the first silent passage, the effect promoted most, firing against silent, the
    firing share of each criterion's points."""
    if isinstance(task, IntruderTask):
        return {"answer": list(labels).index(False) + 1 if False in labels else 1}, None
    if isinstance(task, GroupTask):
        return {"answers": [int(label) for label in labels]}, None
    if isinstance(task, PickEffectTask):
        edges = [0, *accumulate(len(effect.raised) for effect in task.effects)]
        shares = [sum(labels[start:end]) / max(end - start, 1) for start, end in pairwise(edges)]
        return {"answer": shares.index(max(shares)) + 1}, None
    if isinstance(task, RateTask):
        return {"points": [round(each.most * sum(labels) / max(len(labels), 1)) for each in task.criteria]}, None
    probabilities = tuple(_LIKE if label else _UNLIKE for label in labels)
    return [round(2 * p - 1, 6) for p in probabilities], probabilities


_WORD = re.compile(r"\w+|[^\w\s]")


def find_odd_one(passages: Sequence[Passage]) -> int:
    """Passage that lacks most words shared by the others; ties: the least similar, then the first."""
    words = [_words(passage) for passage in passages]

    def lacks(place: int) -> tuple[int, float]:
        rest = [own for other, own in enumerate(words) if other != place]
        shared = set.intersection(*rest) if rest else set()
        likeness = sum(len(words[place] & own) / max(len(words[place] | own), 1) for own in rest)
        return len(shared - words[place]), -likeness

    return max(range(len(words)), key=lambda place: (*lacks(place), -place))


def find_groups(passages: Sequence[Passage]) -> list[int]:
    """Groups 0 and 1 by the pair of words of which most passages have exactly one; others join the larger group.

    Ties: the most frequent pair, then the first in the alphabet.
    """
    # bit masks: one bit per passage that holds the word
    places: dict[str, int] = {}
    for place, passage in enumerate(passages):
        for word in _words(passage):
            places[word] = places.get(word, 0) | 1 << place
    known = sorted((word, mask) for word, mask in places.items() if mask.bit_count() > 1)
    if len(known) < 2:
        return [0] * len(passages)

    def divides(pair: tuple[tuple[str, int], tuple[str, int]]) -> tuple[int, int]:
        (_, first), (_, second) = pair
        # exclusive or: passages with exactly one of the two words
        return (first ^ second).bit_count(), first.bit_count() + second.bit_count()

    (_, first), (_, second) = max(combinations(known, 2), key=divides)
    if first.bit_count() < second.bit_count():
        first, second = second, first
    return [int(not first >> place & 1 and bool(second >> place & 1)) for place in range(len(passages))]


def _words(passage: Passage) -> set[str]:
    spans = passage.marks or ((0, len(passage.text)),)
    return {word.lower() for start, end in spans for word in _WORD.findall(passage.text[start:end])}
