"""Our values beside published ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["TOLERANCE", "Comparison", "Spread", "describe"]

TOLERANCE = 0.05
"""Largest difference that counts as agreement."""


@dataclass(frozen=True)
class Spread:
    """Values over seeds. sd: over n - 1 (0 for one value); half_width: of the 95% t-interval."""

    mean: float
    sd: float
    n: int
    half_width: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.sd:.3f}" if self.n > 1 else f"{self.mean:.3f}"


def describe(values: Sequence[float]) -> Spread:
    """Mean, spread and interval of values, one per seed. Raises ValueError for none."""
    from scipy import stats

    if not values:
        raise ValueError("no values to describe")
    n, mean = len(values), math.fsum(values) / len(values)
    if n == 1:
        return Spread(mean, 0.0, 1, 0.0)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return Spread(mean, sd, n, float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n))


@dataclass(frozen=True)
class Comparison:
    """One published value beside ours. published_sd: as published (5 runs, dividing by n), None if unknown."""

    what: str
    published: float
    ours: Spread
    published_sd: float | None = None
    note: str = ""

    @property
    def difference(self) -> float:
        return self.ours.mean - self.published

    @property
    def two_sd(self) -> float:
        """Twice the standard deviation of the difference of two runs, ours and theirs."""
        return 2 * math.hypot(self.published_sd or 0.0, self.ours.sd)

    @property
    def is_reproduced(self) -> bool:
        """Whether the difference is within 0.05 or two standard deviations."""
        return abs(self.difference) <= TOLERANCE or abs(self.difference) <= self.two_sd

    @property
    def verdict(self) -> str:
        if abs(self.difference) <= TOLERANCE:
            return f"within {TOLERANCE}"
        if abs(self.difference) <= self.two_sd:
            return f"within 2 sd ({self.two_sd:.3f})"
        return f"{'higher' if self.difference > 0 else 'lower'} by {abs(self.difference):.3f}"

    @property
    def published_text(self) -> str:
        return f"{self.published:.3f}" + (f" ± {self.published_sd:.3f}" if self.published_sd is not None else "")
