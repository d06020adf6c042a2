"""Sequential looks: more features at a time until results are precise enough.

All intervals of a sequence cover together (`stats.sequential`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, sqrt

import numpy as np
from scipy.special import ndtr, stdtrit

from autointerp.stats.intervals import Interval
from autointerp.stats.sequential import LEVEL, Spending, critical_values, repeated_interval

__all__ = ["Looks", "SettledPair", "is_narrow", "settle_pairs"]


@dataclass(frozen=True, slots=True)
class Looks:
    """`n_looks` looks at equal shares of the features, with a total error of `1 - level` over `n_claims`."""

    n_looks: int
    spending: Spending = "pocock"
    n_claims: int = 1

    def sizes(self, n_features: int) -> tuple[int, ...]:
        """Features after each look."""
        return tuple(ceil(n_features * look / self.n_looks) for look in range(1, self.n_looks + 1))

    def critical_value(self, look: int) -> float:
        """Half-width of a look's interval in standard errors."""
        fractions = tuple(number / self.n_looks for number in range(1, look + 1))
        level = 1 - (1 - LEVEL) / self.n_claims
        return critical_values(fractions, level=level, spending=self.spending)[-1]


@dataclass(frozen=True, slots=True)
class SettledPair:
    """Difference first minus second, at the look that settled it."""

    first: str
    second: str
    mean: float
    lo: float
    hi: float
    look: int


def is_narrow(
    values: Sequence[float], *, critical_value: float, bounds: tuple[float, float], half_width: float
) -> bool:
    """Whether the interval's half-width is at most `half_width`."""
    interval = repeated_interval(values, critical_value=critical_value, bounds=bounds)
    return interval is not None and _half(interval) <= half_width


def settle_pairs(
    values: Mapping[str, Sequence[float]], *, critical_value: float, half_width: float, look: int
) -> list[SettledPair]:
    """Pairs whose difference excludes 0 or is narrow enough.

    Welch's standard error; the critical value is widened as Student's t.
    """
    settled = []
    for first, second in combinations(sorted(values), 2):
        a, b = np.asarray(values[first], dtype=float), np.asarray(values[second], dtype=float)
        if min(len(a), len(b)) < 2:
            continue
        parts = (a.var(ddof=1) / len(a), b.var(ddof=1) / len(b))
        if not sum(parts):
            continue
        freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
        reach = -float(stdtrit(freedom, ndtr(-critical_value))) * sqrt(sum(parts))
        mean = float(a.mean() - b.mean())
        if reach <= half_width or abs(mean) > reach:
            settled.append(SettledPair(first, second, mean, mean - reach, mean + reach, look))
    return settled


def _half(interval: Interval) -> float:
    return max(interval.hi - interval.mean, interval.mean - interval.lo)
