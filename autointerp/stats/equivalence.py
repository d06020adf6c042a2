"""Equivalence: that two means are as good as equal has to be shown; a difference that was not found shows nothing.

Takes one value per feature; knows nothing of what they measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

__all__ = ["Equivalence", "find_equivalence"]


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether a difference lies within `margin` of 0.

    `p_value` is that of the two one-sided tests; `lo` and `hi` bound the interval at 1 - 2 * level that lies within the
    margin exactly when p_value < level. `verdict`: `equivalent` (shown to lie within), `different` (shown to lie
    outside), `undecided` (more features are needed).
    """

    margin: float
    mean: float
    lo: float
    hi: float
    p_value: float
    verdict: Literal["equivalent", "different", "undecided"]


def find_equivalence(
    first: Sequence[float], second: Sequence[float], *, margin: float, is_paired: bool, level: float = 0.05
) -> Equivalence | None:
    """Two one-sided t-tests (Schuirmann 1987) of the difference of two means against -margin and +margin.

    Paired, or with Welch's degrees of freedom. None for fewer than two features on a side, or where nothing varies.
    Raises ValueError for a margin that is not positive.
    """
    if margin <= 0:
        raise ValueError(f"margin must be above 0, not {margin}")
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if min(len(a), len(b)) < 2:
        return None
    if is_paired:
        gaps = a - b
        mean, error, freedom = float(gaps.mean()), float(gaps.std(ddof=1)) / len(gaps) ** 0.5, float(len(gaps) - 1)
    else:
        parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
        mean, error = float(a.mean() - b.mean()), float(parts.sum()) ** 0.5
        below = (parts**2 / np.array([len(a) - 1, len(b) - 1])).sum()
        freedom = float(parts.sum() ** 2 / below) if below > 0 else 1.0
    if error == 0:
        return None
    above_lower, below_upper = (mean + margin) / error, (margin - mean) / error
    p_value = float(max(stdtr(freedom, -above_lower), stdtr(freedom, -below_upper)))
    reach = float(stdtrit(freedom, 1 - level)) * error
    lo, hi = mean - reach, mean + reach
    verdict = "different" if lo > margin or hi < -margin else "undecided"
    if p_value < level:
        verdict = "equivalent"
    return Equivalence(margin, mean, lo, hi, p_value, verdict)
