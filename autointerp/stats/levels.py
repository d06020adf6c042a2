"""Scores when only the strongest firings of a feature count as firing: its truncation at a level.

Features that fire often and weakly are harder to describe than rare ones, so a comparison of dictionaries is one of
firing rates before it is one of meaning. A feature truncated at level q fires on a share q of the tokens it fires on,
the strongest; the same answers of the judge give its score at every level. Takes numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["LEVELS", "CutScore", "JudgedFiring", "cut_score", "threshold_at"]

LEVELS = (1.0, 0.5, 0.25, 0.1, 0.05)

_FEWEST_FIRING = 3
"""Fewer firing windows than this above a level give no score there: recall would be 0, 1/2 or 1."""


class JudgedFiring(NamedTuple):
    """A firing window: its activation, whether the judge called it firing, and which share of all firing windows it
    stands for, where that is known."""

    activation: float
    is_called: bool
    share: float | None = None


class CutScore(NamedTuple):
    """The score of a truncated feature over as many firing as silent windows.

    f1, balanced_accuracy: over the windows that still fire and the silent ones; what fires below the level is left out.
    over_weak: balanced accuracy of what still fires against what fires below the level, None where nothing does.
    """

    f1: float
    balanced_accuracy: float
    over_weak: float | None


def threshold_at(level: float, *, edges: Sequence[float], counts: Sequence[int]) -> float:
    """The activation above which a share `level` of the firings lie, from their histogram (`len(counts) + 1` edges
    above 0); within a bin firings are taken to be spread evenly in the logarithm. 0 for a level of 1 or no histogram.
    """
    if not 0 < level <= 1:
        raise ValueError(f"level = {level} must be above 0 and at most 1")
    if level == 1 or not counts:
        return 0.0
    above = np.concatenate([np.cumsum(np.asarray(counts, dtype=float)[::-1])[::-1], [0.0]])
    return float(np.exp2(np.interp(level * above[0], above[::-1], np.log2(edges)[::-1])))


def cut_score(firing: Sequence[JudgedFiring], *, false_alarm: float | None, threshold: float) -> CutScore | None:
    """The score when what lies below `threshold` does not count as firing. `false_alarm`: the share of silent windows
    called firing.

    Recall is weighted by the shares where all are known: windows drawn evenly from the range of activations stand for
    unequally many. None with fewer than three firing windows left, or without silent ones.
    """
    kept = [window for window in firing if window.activation >= threshold]
    if false_alarm is None or len(kept) < _FEWEST_FIRING:
        return None
    recall, called = _recall(kept), _recall([window for window in firing if window.activation < threshold])
    return CutScore(
        f1=2 * recall / (1 + recall + false_alarm),
        balanced_accuracy=(recall + 1 - false_alarm) / 2,
        over_weak=None if called is None else (recall + 1 - called) / 2,
    )


def _recall(windows: Sequence[JudgedFiring]) -> float | None:
    if not windows:
        return None
    shares = [window.share for window in windows]
    weights = None if None in shares or not sum(s or 0.0 for s in shares) else np.array(shares, dtype=float)
    return float(np.average([window.is_called for window in windows], weights=weights))
