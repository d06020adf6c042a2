"""Tests of differences between means over features: significance, equivalence, and smallest detectable difference.

`scipy.stats.permutation_test` draws signs differently, which would change reported p-values in their third digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

__all__ = [
    "N_ARRANGEMENTS",
    "Equivalence",
    "difference_p_value",
    "equivalence_of",
    "features_needed",
    "find_equivalence",
    "holm",
    "paired_permutation_p",
    "smallest_difference",
    "two_sample_permutation_p",
]


N_ARRANGEMENTS = 9_999
_MOST_EXACT = 12
"""Pairs up to which all 2**12 sign flips are counted."""
_CHUNK_CELLS = 4_000_000
_NEAR = 1e-12


def paired_permutation_p(
    first: Sequence[float],
    second: Sequence[float],
    *,
    rng: np.random.Generator,
    n_arrangements: int = N_ARRANGEMENTS,
) -> float | None:
    """Two-sided p-value of the mean gap under sign flips (Fisher 1935); None below two features.

    The observed arrangement counts (Phipson and Smyth 2010), so p > 0.
    """
    gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    n = len(gaps)
    if n < 2:
        return None
    observed = abs(gaps.sum())
    if n <= _MOST_EXACT:
        # every pattern of signs, as the bits of a number
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        sums = np.abs((1 - 2 * bits) @ gaps)
        return float(np.mean(sums >= observed - _NEAR))
    n_as_extreme = 0
    for n_rows in _chunks(n_arrangements, n):
        signs = rng.integers(0, 2, size=(n_rows, n), dtype=np.int8) * 2 - 1
        n_as_extreme += int(np.sum(np.abs(signs @ gaps) >= observed - _NEAR))
    return (1 + n_as_extreme) / (1 + n_arrangements)


def two_sample_permutation_p(
    first: Sequence[float],
    second: Sequence[float],
    *,
    rng: np.random.Generator,
    n_arrangements: int = N_ARRANGEMENTS,
) -> float | None:
    """Two-sided p-value for equal means, by shuffling sides; None below two features per side.

    With Welch's t as statistic the level holds for unequal spreads in large samples (Janssen 1997).
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if min(len(a), len(b)) < 2:
        return None
    both = np.concatenate([a, b])
    observed = abs(float(_welch(both[None, :], len(a))[0]))
    n_as_extreme = 0
    for n_rows in _chunks(n_arrangements, len(both)):
        shuffled = rng.permuted(np.broadcast_to(both, (n_rows, len(both))).copy(), axis=1)
        n_as_extreme += int(np.sum(np.abs(_welch(shuffled, len(a))) >= observed - _NEAR))
    return (1 + n_as_extreme) / (1 + n_arrangements)


def _welch(rows: np.ndarray, n_first: int) -> np.ndarray:
    """[n_rows] Welch's t of the first `n_first` columns against the rest; 0 where nothing varies."""
    a, b = rows[:, :n_first], rows[:, n_first:]
    gap = a.mean(axis=1) - b.mean(axis=1)
    error = np.sqrt(a.var(axis=1, ddof=1) / a.shape[1] + b.var(axis=1, ddof=1) / b.shape[1])
    far = np.where(np.abs(gap) > _NEAR, np.copysign(np.inf, gap), 0.0)
    return np.divide(gap, error, out=far, where=error > _NEAR)


def _chunks(n_rows: int, n_columns: int) -> list[int]:
    size = max(1, _CHUNK_CELLS // n_columns)
    return [min(size, n_rows - start) for start in range(0, n_rows, size)]


def difference_p_value(first: Sequence[float], second: Sequence[float], *, is_paired: bool) -> float | None:
    """Two-sided p-value of the paired or Welch's t-test; None below two features per side or without variation."""
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
    """Holm's step-down correction (1979), in order; None is ignored."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        corrected[place] = highest
    return corrected


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether a difference lies within `margin` of 0.

    `p_value`: of two one-sided tests; (`lo`, `hi`): 1 - 2 * level interval, within the margin exactly when p_value <
    level. `verdict`: `equivalent`, `different` (shown outside) or `undecided`.
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
    """Two one-sided t-tests (Schuirmann 1987), paired or Welch's.

    None below two features per side or without variation. Raises ValueError for a margin <= 0.
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
    return equivalence_of(mean, error, freedom, margin=margin, level=level)


def equivalence_of(
    mean: float, error: float, freedom: float, *, margin: float, level: float = 0.05
) -> Equivalence | None:
    """The two one-sided t-tests of a difference whose standard error has these degrees of freedom; None where that
    error is 0."""
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


def smallest_difference(
    n_features: int, *, deviation: float, n_other: int | None = None, level: float = 0.05, power: float = 0.8
) -> float:
    """Difference found with probability `power` by a two-sided test at `level`.

    Normal approximation: (z(1 - level / 2) + z(power)) * deviation * sqrt(1 / n + 1 / n_other), `deviation` over
    features.
    """
    other = n_features if n_other is None else n_other
    if n_features < 1 or other < 1 or deviation < 0:
        raise ValueError(f"needs n >= 1 and deviation >= 0, not {n_features}, {other} and {deviation}")
    return float((ndtri(1 - level / 2) + ndtri(power)) * deviation * sqrt(1 / n_features + 1 / other))


def features_needed(difference: float, *, deviation: float, level: float = 0.05, power: float = 0.8) -> int:
    """Features per set (at least 2) to show `difference`."""
    if difference <= 0 or deviation < 0:
        raise ValueError(f"needs difference > 0 and deviation >= 0, not {difference} and {deviation}")
    quotient = (ndtri(1 - level / 2) + ndtri(power)) * deviation / difference
    # Half a unit in the last place must not cost a feature.
    return max(2, int(-(-(2 * quotient**2 - 1e-9) // 1)))
