"""Ranks as ranges of places, from differences that are significant."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from scipy.special import stdtr

from autointerp.stats.seed_effect import Spread, difference_spread
from autointerp.stats.significance import holm

__all__ = ["Estimate", "Places", "rank_places"]

LEVEL = 0.05


class Estimate(NamedTuple):
    """Mean, with its spread where that is known."""

    mean: float
    spread: Spread | None


class Places(NamedTuple):
    """Best and last possible place, from 1."""

    best: int
    last: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.last else f"{self.best}-{self.last}"


def rank_places(estimates: Sequence[Estimate], *, level: float = LEVEL) -> list[Places]:
    """Places by mean, highest first: after all significantly higher entries, before all significantly lower ones.

    Welch's t-test at `level`, Holm-corrected over pairs. One value or equal values are never significant.
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
    if a.spread is None or b.spread is None or min(a.spread.error, b.spread.error) <= 0:
        return None
    spread = difference_spread(a.spread, b.spread)
    return spread and float(2 * stdtr(spread.freedom, -abs(a.mean - b.mean) / spread.error))
