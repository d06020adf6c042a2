"""Near-miss accuracy: among windows in which the same token stands, is firing told from silent?

Takes judged windows with their labels; knows nothing of prompts or of how windows were chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from autointerp.records.verdict import Verdict
from autointerp.records.window import Window
from autointerp.stats.lookup import LookupTask

__all__ = ["NearMiss", "near_miss_accuracy"]


@dataclass(frozen=True, slots=True)
class NearMiss:
    """`balanced_accuracy` over `n_tokens` shared tokens, of `n_positive` firing and `n_negative` near-miss windows."""

    balanced_accuracy: float
    n_tokens: int
    n_positive: int
    n_negative: int


class _Judged(NamedTuple):
    window: str
    is_right: bool


def near_miss_accuracy(judged: Iterable[tuple[Verdict, Window]], *, task: LookupTask) -> NearMiss | None:
    """Balanced accuracy within each shared token, averaged over those tokens.

    For every token t: the positives are the judged activating windows in which the feature fires ON t (`detection`:
    at any position; `marked`: the candidate token is t); the negatives are the judged near-miss windows whose
    candidate token is t. Tokens that have both are the shared ones. A token's value is the mean of its two shares
    answered right (a lost answer is wrong), and its weight n_positive * n_negative / (n_positive + n_negative), as
    in a Mantel-Haenszel estimate. Because the token is the same on both sides, whoever looks at the marked token
    alone scores exactly 0.5 whatever he answers; so 0.5 is chance.

    None when there is no shared token: it cannot be measured then.
    """
    positives: dict[int, list[_Judged]] = {}
    negatives: dict[int, list[_Judged]] = {}
    for verdict, window in judged:
        candidate = window.token_ids[window.candidate]
        right = verdict.answer == ("fires" if verdict.is_firing else "silent")
        if verdict.kind == "near_miss":
            negatives.setdefault(candidate, []).append(_Judged(verdict.window, right))
        elif verdict.is_firing:
            for token in {candidate} if task == "marked" else _firing_tokens(window):
                positives.setdefault(token, []).append(_Judged(verdict.window, right))
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


def _firing_tokens(window: Window) -> set[int]:
    return {token for token, activation in zip(window.token_ids, window.activations, strict=True) if activation > 0}


def _share_right(judged: list[_Judged]) -> float:
    return sum(j.is_right for j in judged) / len(judged)
