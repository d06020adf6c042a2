"""Near-miss accuracy: among windows in which the same token stands, is firing told from silent?

In `detection` 0.5 is no chance level: firing windows hold more of a feature's tokens than near misses, so that a list
of tokens, blind to context, lies above it. Two figures are free of that: the judge's value minus the list's own on the
same windows, and the value over windows in which the shared token is the only one of the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from autointerp.records.verdict import Answer, Verdict
from autointerp.records.window import Window
from autointerp.stats.lookup import LookupTask, TokenRule

__all__ = ["Judged", "NearMiss", "near_miss_accuracy", "near_miss_alone", "near_miss_of_list"]

Judged = Sequence[tuple[Verdict, Window]]
"""Verdicts of one feature, each with its window."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """`balanced_accuracy` over `n_tokens` shared tokens, of `n_positive` firing and `n_negative` near-miss windows."""

    balanced_accuracy: float
    n_tokens: int
    n_positive: int
    n_negative: int


class _Answered(NamedTuple):
    window: str
    is_right: bool


def near_miss_accuracy(judged: Judged, *, task: LookupTask) -> NearMiss | None:
    """Balanced accuracy within each shared token, averaged over those tokens.

    For every token t: the positives are the judged activating windows in which the feature fires ON t (`detection`:
    at any position; `marked`: the candidate token is t); the negatives are the judged near-miss windows whose
    candidate token is t. Tokens that have both are the shared ones. A token's value is the mean of its two shares
    answered right (a lost answer is wrong), and its weight n_positive * n_negative / (n_positive + n_negative), as
    in a Mantel-Haenszel estimate. In `marked` whoever looks at the marked token alone scores exactly
    0.5, because it is the same on both sides.

    None when there is no shared token: it cannot be measured then.
    """
    positives: dict[int, list[_Answered]] = {}
    negatives: dict[int, list[_Answered]] = {}
    for verdict, window in judged:
        candidate = window.token_ids[window.candidate]
        right = verdict.answer == ("fires" if verdict.is_firing else "silent")
        if verdict.kind == "near_miss":
            negatives.setdefault(candidate, []).append(_Answered(verdict.window, right))
        elif verdict.is_firing:
            for token in _shared_tokens(verdict, window, task):
                positives.setdefault(token, []).append(_Answered(verdict.window, right))
    shared = sorted(positives.keys() & negatives.keys())
    if not shared:
        return None
    total, weights = 0.0, 0.0
    for token in shared:
        n_positive, n_negative = len(positives[token]), len(negatives[token])
        weight = n_positive * n_negative / (n_positive + n_negative)
        total += weight * (_share_right(positives[token]) + _share_right(negatives[token])) / 2
        weights += weight
    return NearMiss(
        balanced_accuracy=total / weights,
        n_tokens=len(shared),
        n_positive=len({j.window for token in shared for j in positives[token]}),
        n_negative=len({j.window for token in shared for j in negatives[token]}),
    )


def near_miss_of_list(judged: Judged, *, rule: TokenRule) -> NearMiss | None:
    """What the list of tokens reaches on the same windows."""
    answered: list[tuple[Verdict, Window]] = []
    for verdict, window in judged:
        answer: Answer = "fires" if rule.calls_firing(window) else "silent"
        answered.append((replace(verdict, answer=answer), window))
    return near_miss_accuracy(answered, task=rule.task)


def near_miss_alone(judged: Judged, *, rule: TokenRule) -> NearMiss | None:
    """The value over windows that hold no token of the list but the shared one: there the list answers the same on both
    sides, so 0.5 is what it reaches exactly."""
    alone = []
    for verdict, window in judged:
        shared = _shared_tokens(verdict, window, rule.task)
        if len(shared) == 1 and rule.token_ids.intersection(window.token_ids) <= shared:
            alone.append((verdict, window))
    return near_miss_accuracy(alone, task=rule.task)


def _shared_tokens(verdict: Verdict, window: Window, task: LookupTask) -> set[int]:
    """The tokens by which a window is paired with others."""
    if task == "marked" or verdict.kind == "near_miss":
        return {window.token_ids[window.candidate]}
    return _firing_tokens(window)


def _firing_tokens(window: Window) -> set[int]:
    return {token for token, activation in zip(window.token_ids, window.activations, strict=True) if activation > 0}


def _share_right(judged: list[_Answered]) -> float:
    return sum(j.is_right for j in judged) / len(judged)
