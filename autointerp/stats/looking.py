"""Asking in looks: a share of the features at a time, until what is to be known is known well enough.

The error of looking several times is spent once (`stats.sequential`), so every interval given here covers together with
all others of its sequence. Takes numbers; knows nothing of judges.
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
    """`n_looks` looks at equal shares of the features, at a total error of `1 - level` over `n_claims` claims."""

    n_looks: int
    spending: Spending = "pocock"
    n_claims: int = 1

    def sizes(self, n_features: int) -> tuple[int, ...]:
        """How many features are asked about by each look, all of them by the last."""
        return tuple(ceil(n_features * look / self.n_looks) for look in range(1, self.n_looks + 1))

    def critical_value(self, look: int) -> float:
        """How many standard errors wide the interval of a look is, the first being 1."""
        fractions = tuple(number / self.n_looks for number in range(1, look + 1))
        level = 1 - (1 - LEVEL) / self.n_claims
        return critical_values(fractions, level=level, spending=self.spending)[-1]


@dataclass(frozen=True, slots=True)
class SettledPair:
    """A difference of two means at the look at which it was known well enough: first minus second."""

    first: str
    second: str
    mean: float
    lo: float
    hi: float
    look: int


def is_narrow(
    values: Sequence[float], *, critical_value: float, bounds: tuple[float, float], half_width: float
) -> bool:
    """Whether the interval of a look is at most `half_width` to either side of the mean."""
    found = repeated_interval(values, critical_value=critical_value, bounds=bounds)
    return found is not None and _half(found) <= half_width


def settle_pairs(
    values: Mapping[str, Sequence[float]], *, critical_value: float, half_width: float, look: int
) -> list[SettledPair]:
    """The pairs of means whose difference is known at this look: its interval excludes 0, or is narrow enough.

    Welch's standard error, widened for few values as Student's t is against the normal.
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
