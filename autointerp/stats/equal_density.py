"""Difference of two dictionaries between features of equal firing rate, by matched pairs and by strata.

Without matching, means compare firing rates as well as meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from autointerp.stats.intervals import LEVEL, Difference, paired_difference

__all__ = ["CALIPER", "EqualDensity", "equal_density_difference"]

CALIPER = 1.25
"""Largest ratio of firing rates in a pair."""

_N_STRATA = 5
_FEWEST_PAIRS = 20


class EqualDensity(NamedTuple):
    """Differences over `n_pairs` of at most `n_possible` matched pairs, and over strata.

    matched: most pairs possible, each feature once; None below 20 pairs. Remaining rate differences are removed by
    regression on the log rate (bias-corrected matching, Abadie and Imbens 2011). strata: fifths of all rates, weighted
    by the smaller side; None if none has two features per side.
    """

    matched: Difference | None
    n_pairs: int
    n_possible: int
    strata: Difference | None
    medians: tuple[float, float] | None
    """Of the rates of either side."""


def equal_density_difference(
    first: Sequence[float],
    first_density: Sequence[float],
    second: Sequence[float],
    second_density: Sequence[float],
    *,
    rng: np.random.Generator,
    bounds: tuple[float, float],
) -> EqualDensity:
    """First minus second. Rates must be positive."""
    (a, x), (b, y) = (_by_density(v, d) for v, d in ((first, first_density), (second, second_density)))
    pairs = _match(x, y, caliper=float(np.log(CALIPER)))
    matched = None
    if len(pairs) >= _FEWEST_PAIRS:
        left, right = np.array(pairs).T
        slope = _slope((a[left], x[left]), (b[right], y[right]))
        values = a[left] - slope * (x[left] - y[right])
        matched = paired_difference(values.tolist(), b[right].tolist(), rng=rng, bounds=bounds)
    medians = (float(np.exp(np.median(x))), float(np.exp(np.median(y)))) if len(x) and len(y) else None
    return EqualDensity(matched, len(pairs), min(len(a), len(b)), _stratified(a, x, b, y), medians)


def _by_density(values: Sequence[float], densities: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((values, densities))
    return np.asarray(values, dtype=float)[order], np.log(np.asarray(densities, dtype=float)[order])


def _match(x: np.ndarray, y: np.ndarray, *, caliper: float) -> list[tuple[int, int]]:
    """Maximum matching within the caliper, greedy from the lowest."""
    pairs, i, j = [], 0, 0
    while i < len(x) and j < len(y):
        if abs(x[i] - y[j]) <= caliper:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        # the lower one is too far from all that follow
        elif x[i] < y[j]:
            i += 1
        else:
            j += 1
    return pairs


def _slope(*sides: tuple[np.ndarray, np.ndarray]) -> float:
    """Slope over the log rate, within sides."""
    spread = sum(float(np.sum((x - x.mean()) ** 2)) for _, x in sides)
    return sum(float(np.sum((v - v.mean()) * (x - x.mean()))) for v, x in sides) / spread if spread else 0.0


def _stratified(a: np.ndarray, x: np.ndarray, b: np.ndarray, y: np.ndarray) -> Difference | None:
    """Mean over strata, with a Welch-Satterthwaite interval."""
    if not len(x) or not len(y):
        return None
    edges = np.quantile(np.concatenate([x, y]), np.linspace(0, 1, _N_STRATA + 1)[1:-1])
    place_a, place_b = np.searchsorted(edges, x), np.searchsorted(edges, y)
    cells = [(a[place_a == place], b[place_b == place]) for place in range(_N_STRATA)]
    cells = [(p, q) for p, q in cells if min(len(p), len(q)) > 1]
    if not cells:
        return None
    weights = np.array([min(len(p), len(q)) for p, q in cells], dtype=float)
    weights /= weights.sum()
    gaps = np.array([p.mean() - q.mean() for p, q in cells])
    parts = np.array([[p.var(ddof=1) / len(p), q.var(ddof=1) / len(q)] for p, q in cells]) * weights[:, None] ** 2
    freedoms = np.array([[len(p) - 1, len(q) - 1] for p, q in cells])
    mean, variance = float(weights @ gaps), float(parts.sum())
    reach = 0.0
    if variance:
        freedom = variance**2 / float((parts**2 / freedoms).sum())
        reach = float(stdtrit(freedom, (1 + LEVEL) / 2)) * variance**0.5
    n_first, n_second = (sum(len(cell[side]) for cell in cells) for side in (0, 1))
    return Difference(mean, mean - reach, mean + reach, n_first, n_second, False, None)
