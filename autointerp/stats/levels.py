"""Scores of features truncated at a level: of the firings, only the strongest share counts.

Truncation separates meaning from firing rate: frequent, weak firings are harder to describe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["LEVELS", "CutScore", "JudgedFiring", "cut_score", "threshold_at"]

LEVELS = (1.0, 0.5, 0.25, 0.1, 0.05)

_FEWEST_FIRING = 3
"""With fewer firing windows recall would be 0, 1/2 or 1."""


class JudgedFiring(NamedTuple):
    """A firing window: its activation, whether the judge called it firing, and which share of all firing windows it
    stands for, where that is known."""

    activation: float
    is_called: bool
    share: float | None = None


class CutScore(NamedTuple):
    """Score over equally many firing and silent windows.

    f1, balanced_accuracy: weak firings left out. over_weak: balanced accuracy of strong against weak firings, None
    without weak ones.
    """

    f1: float
    balanced_accuracy: float
    over_weak: float | None


def threshold_at(level: float, *, edges: Sequence[float], counts: Sequence[int]) -> float:
    """Activation exceeded by a share `level` of firings, from a histogram with `len(counts) + 1` edges, log-uniform
    within bins. 0 for level 1 or without histogram.
    """
    if not 0 < level <= 1:
        raise ValueError(f"level = {level} must be above 0 and at most 1")
    if level == 1 or not counts:
        return 0.0
    above = np.concatenate([np.cumsum(np.asarray(counts, dtype=float)[::-1])[::-1], [0.0]])
    return float(np.exp2(np.interp(level * above[0], above[::-1], np.log2(edges)[::-1])))


def cut_score(firing: Sequence[JudgedFiring], *, false_alarm: float | None, threshold: float) -> CutScore | None:
    """Score with firings below `threshold` left out; `false_alarm` is the share of silent windows called firing.

    Recall is weighted by shares where all are known. None with fewer than three firing windows or without silent ones.
    """
    kept = [window for window in firing if window.activation >= threshold]
    if false_alarm is None or len(kept) < _FEWEST_FIRING:
        return None
    recall, weak = _recall(kept), [window for window in firing if window.activation < threshold]
    return CutScore(
        f1=2 * recall / (1 + recall + false_alarm),
        balanced_accuracy=(recall + 1 - false_alarm) / 2,
        over_weak=(recall + 1 - _recall(weak)) / 2 if weak else None,
    )


def _recall(windows: Sequence[JudgedFiring]) -> float:
    shares = [window.share for window in windows]
    weights = None if None in shares or not sum(s or 0.0 for s in shares) else np.array(shares, dtype=float)
    return float(np.average([window.is_called for window in windows], weights=weights))
