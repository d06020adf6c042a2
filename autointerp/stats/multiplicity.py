"""p-values of differences, and their correction when many are looked at together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["difference_p_value", "holm"]


def difference_p_value(first: Sequence[float], second: Sequence[float], *, is_paired: bool) -> float | None:
    """Two-sided p-value that two means over features are equal: the paired t-test, or Welch's.

    None where it is not defined: fewer than two features on a side, or nothing varies.
    """
    from scipy.stats import ttest_1samp, ttest_ind  # a second to import, and only comparisons need it

    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if min(len(a), len(b)) < 2:
        return None
    gaps = a - b if is_paired else None
    if gaps is not None:
        result: Any = None if np.ptp(gaps) == 0 else ttest_1samp(gaps, 0.0)
    else:
        result = None if np.ptp(a) == 0 and np.ptp(b) == 0 else ttest_ind(a, b, equal_var=False)
    return None if result is None else float(result.pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected by Holm's step-down method (1979), in the order given; None stays None and counts for none."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        corrected[place] = highest
    return corrected
