"""Ranks that say no more than the data do: a range of places per mean, from the differences that can be shown.

Takes means with their errors; knows nothing of what they measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from scipy.special import stdtr

from autointerp.stats.significance import holm

__all__ = ["Estimate", "Places", "rank_places"]

LEVEL = 0.05


class Estimate(NamedTuple):
    """A mean over `n` values with its standard error."""

    mean: float
    error: float
    n: int


class Places(NamedTuple):
    """The best and the last place that an entry may hold, 1 being the first."""

    best: int
    last: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.last else f"{self.best}-{self.last}"


def rank_places(estimates: Sequence[Estimate], *, level: float = LEVEL) -> list[Places]:
    """The places of each, higher means first: it stands behind all that are shown to be higher, before all that are
    shown to be lower, and is tied with the others.

    A pair differs where Welch's t-test does, corrected by Holm over all pairs, at `level`. One value, or values all the
    same, have no error that is known: their differences are never shown.
    """
    pairs = list(combinations(range(len(estimates)), 2))
    corrected = holm([_p_value(estimates[i], estimates[j]) for i, j in pairs])
    n_above, n_below = [0] * len(estimates), [0] * len(estimates)
    for (i, j), p in zip(pairs, corrected, strict=True):
        if p is None or p >= level:
            continue
        high, low = (i, j) if estimates[i].mean > estimates[j].mean else (j, i)
        n_below[high] += 1
        n_above[low] += 1
    return [Places(1 + above, len(estimates) - below) for above, below in zip(n_above, n_below, strict=True)]


def _p_value(a: Estimate, b: Estimate) -> float | None:
    if min(a.n, b.n) < 2 or min(a.error, b.error) <= 0:
        return None
    parts = (a.error**2, b.error**2)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (a.n - 1) + parts[1] ** 2 / (b.n - 1))
    return float(2 * stdtr(freedom, -abs(a.mean - b.mean) / sum(parts) ** 0.5))
