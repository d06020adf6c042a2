"""Near-miss accuracy: firing told from silent among windows with the same token.

In `detection` chance is not 0.5: a context-blind token list scores above it. Corrections: subtract the list's value, or
keep windows whose only listed token is the shared one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from autointerp.records.verdict import Answer, Verdict
from autointerp.records.window import Window
from autointerp.stats.lookup import LookupTask, TokenRule, firing_tokens

__all__ = ["Judged", "NearMiss", "near_miss_accuracy", "near_miss_alone", "near_miss_of_list"]

Judged = Sequence[tuple[Verdict, Window]]
"""One feature's verdicts with their windows."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Accuracy over `n_tokens` shared tokens, with counts of firing and near-miss windows."""

    balanced_accuracy: float
    n_tokens: int
    n_positive: int
    n_negative: int


class _Answered(NamedTuple):
    window: str
    is_right: bool


def near_miss_accuracy(judged: Judged, *, task: LookupTask) -> NearMiss | None:
    """Balanced accuracy within each shared token, averaged.

    Positives of token t: firing windows active on t (`detection`) or with candidate t (`marked`); negatives: near
    misses with candidate t. Lost answers are wrong. Weights: n_positive * n_negative / (n_positive + n_negative)
    (Mantel-Haenszel). In `marked`, the token alone gives exactly 0.5. None without shared tokens.
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
    """The token list's value on the same windows."""
    answered: list[tuple[Verdict, Window]] = []
    for verdict, window in judged:
        answer: Answer = "fires" if rule.calls_firing(window) else "silent"
        answered.append((replace(verdict, answer=answer), window))
    return near_miss_accuracy(answered, task=rule.task)


def near_miss_alone(judged: Judged, *, rule: TokenRule) -> NearMiss | None:
    """Value over windows with only the shared token of the list, where the list scores exactly 0.5."""
    alone = []
    for verdict, window in judged:
        shared = _shared_tokens(verdict, window, rule.task)
        if len(shared) == 1 and rule.token_ids.intersection(window.token_ids) <= shared:
            alone.append((verdict, window))
    return near_miss_accuracy(alone, task=rule.task)


def _shared_tokens(verdict: Verdict, window: Window, task: LookupTask) -> set[int]:
    """Tokens that pair a window with others."""
    if task == "marked" or verdict.kind == "near_miss":
        return {window.token_ids[window.candidate]}
    return firing_tokens(window)


def _share_right(judged: list[_Answered]) -> float:
    return sum(j.is_right for j in judged) / len(judged)
