"""Permutation tests of two means over features: exact where all arrangements can be counted, else drawn.

They assume nothing of the shape of the values, only that under the null the arrangement does not matter: the sign of
each gap (paired), or which side a feature stands on (two samples). Takes numbers and a generator.

`scipy.stats.permutation_test` gives the same p-values where all arrangements are counted. It draws signs from the
generator in another way, so that p-values that were reported would change in their third digit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["N_ARRANGEMENTS", "paired_permutation_p", "two_sample_permutation_p"]

N_ARRANGEMENTS = 9_999
_MOST_EXACT = 12
"""Pairs up to which all sign flips are counted: 2**12 of them, fewer than are drawn otherwise."""
_CHUNK_CELLS = 4_000_000
_NEAR = 1e-12


def paired_permutation_p(
    first: Sequence[float],
    second: Sequence[float],
    *,
    rng: np.random.Generator,
    n_arrangements: int = N_ARRANGEMENTS,
) -> float | None:
    """Two-sided p-value of the mean gap between two values of the same features, under flips of each gap's sign
    (Fisher 1935). None for fewer than two features.

    Drawn arrangements count the observed one in (Phipson and Smyth 2010), so a p-value is never 0.
    """
    gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    n = len(gaps)
    if n < 2:
        return None
    observed = abs(gaps.sum())
    if n <= _MOST_EXACT:
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
    """Two-sided p-value that two sets of features have one mean, under shuffles of who stands on which side.

    The statistic is Welch's t, not the bare gap: then the test keeps its level for unequal spreads as well, in large
    samples (Janssen 1997). None for fewer than two features on a side.
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
    """[n_rows] Welch's t of the first `n_first` columns against the others; 0 where nothing varies or differs."""
    a, b = rows[:, :n_first], rows[:, n_first:]
    gap = a.mean(axis=1) - b.mean(axis=1)
    error = np.sqrt(a.var(axis=1, ddof=1) / a.shape[1] + b.var(axis=1, ddof=1) / b.shape[1])
    far = np.where(np.abs(gap) > _NEAR, np.copysign(np.inf, gap), 0.0)
    return np.divide(gap, error, out=far, where=error > _NEAR)


def _chunks(n_rows: int, n_columns: int) -> list[int]:
    size = max(1, _CHUNK_CELLS // n_columns)
    return [min(size, n_rows - start) for start in range(0, n_rows, size)]
