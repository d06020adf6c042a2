"""Means over features of several trainings, the training's seed being a random effect.

Features of one training share its seed: what another seed would have found moves all of them together, and an interval
over features alone is blind to it. Seeds are the clusters here, as features are in `intervals`. Takes values by seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from autointerp.stats.intervals import LEVEL, Interval

__all__ = [
    "SeedMean",
    "Shares",
    "Spread",
    "difference_spread",
    "mean_spread",
    "seed_spread",
    "variance_shares",
    "widen",
    "wider",
]


class SeedMean(NamedTuple):
    """The mean over the `n` features of one training."""

    mean: float
    n: int


class Spread(NamedTuple):
    """The standard error of a mean, and the degrees of freedom it is known with."""

    error: float
    freedom: float

    @property
    def reach(self) -> float:
        """Half the width of its 95% interval, by Student's t."""
        return float(stdtrit(self.freedom, (1 + LEVEL) / 2)) * self.error

    def detectable(self, *, power: float = 0.8) -> float:
        """The difference from 0 that a t-test at level 0.05 finds with this probability, about."""
        return self.reach + float(stdtrit(self.freedom, power)) * self.error


class Shares(NamedTuple):
    """Where the variance of one feature's value comes from; they add up to 1.

    `windows` is None where it is not known how well one feature's value is measured: it is within `features` then.
    """

    seeds: float
    features: float
    windows: float | None


def seed_spread(seeds: Sequence[SeedMean]) -> Spread | None:
    """That of the mean over the features of all seeds, had other seeds been drawn.

    The cluster-robust variance, S / (S - 1) * sum over seeds of (their share of features * distance from the mean)^2,
    with Student's t of S - 1 degrees of freedom (Cameron and Miller 2015, section VI, for few clusters); with as many
    features of each seed it is the t-interval of the seed means. None for fewer than two seeds.
    """
    if len(seeds) < 2:
        return None
    means, sizes = (np.array(column, dtype=float) for column in zip(*seeds, strict=True))
    weights = sizes / sizes.sum()
    gaps = weights * (means - weights @ means)
    return Spread(float(gaps @ gaps * len(seeds) / (len(seeds) - 1)) ** 0.5, len(seeds) - 1.0)


def mean_spread(by_seed: Sequence[Sequence[float]]) -> Spread | None:
    """That of the mean over all values: over seeds or over features, whichever reaches further.

    A seed has the noise of its own features in its mean, so the spread over seeds is enough on average. Few of them
    agree by chance at times; then it is no narrower than one training's would be. Of one seed it is that over features.
    None for a single value, and where one of several seeds alone has any.
    """
    known = [values for values in by_seed if len(values)]
    values = np.concatenate(known) if known else np.zeros(0)
    if len(values) < 2:
        return None
    features = Spread(float(np.std(values, ddof=1)) / len(values) ** 0.5, len(values) - 1.0)
    if len(by_seed) == 1:
        return features
    seeds = seed_spread([SeedMean(float(np.mean(each)), len(each)) for each in known])
    return seeds and wider(seeds, features)


def wider(*spreads: Spread) -> Spread:
    """The one that reaches furthest."""
    return max(spreads, key=lambda spread: spread.reach)


def difference_spread(a: Spread, b: Spread) -> Spread | None:
    """That of the difference of two independent means (Welch-Satterthwaite); None where neither varies."""
    parts = (a.error**2, b.error**2)
    below = parts[0] ** 2 / a.freedom + parts[1] ** 2 / b.freedom
    return Spread(sum(parts) ** 0.5, sum(parts) ** 2 / below) if below else None


def widen(interval: Interval, seeds: Sequence[SeedMean], *, bounds: tuple[float, float]) -> Interval:
    """An interval over features, made to hold the one over seeds, too, within `bounds`.

    One seed says nothing about the others: the whole range.
    """
    spread = seed_spread(seeds)
    if spread is None:
        return Interval(interval.mean, *bounds, interval.n)
    lo, hi = interval.mean - spread.reach, interval.mean + spread.reach
    return Interval(
        interval.mean, min(interval.lo, max(lo, bounds[0])), max(interval.hi, min(hi, bounds[1])), interval.n
    )


def variance_shares(
    by_seed: Sequence[Sequence[float]], *, window_shares: Sequence[float | None] | None = None
) -> Shares | None:
    """Shares of the variance of feature values: seeds and features by the analysis of variance of a random effect with
    unequal groups (Searle, Casella and McCulloch 1992, section 3.6), a negative share of seeds being 0.

    `window_shares` are, for each seed, the share of the variance over its features that its windows make
    (`hierarchy.NoiseShares`). None for fewer than two seeds with two values, or where nothing varies.
    """
    shares = window_shares or [None] * len(by_seed)
    known = [(np.asarray(v, dtype=float), share) for v, share in zip(by_seed, shares, strict=True) if len(v) > 1]
    if len(known) < 2:
        return None
    sizes = np.array([len(values) for values, _ in known], dtype=float)
    means = np.array([values.mean() for values, _ in known])
    spreads = np.array([values.var(ddof=1) for values, _ in known])
    freedoms = sizes - 1
    within = float(freedoms @ spreads / freedoms.sum())
    between = float(sizes @ (means - sizes @ means / sizes.sum()) ** 2) / (len(known) - 1)
    typical = (sizes.sum() - sizes @ sizes / sizes.sum()) / (len(known) - 1)
    seeds = max(0.0, float(between - within) / float(typical))
    total = seeds + within
    if not total:
        return None
    told = [share for _, share in known]
    if None in told:
        return Shares(seeds / total, within / total, None)
    windows = float((freedoms * spreads) @ np.array(told, dtype=float) / freedoms.sum())
    return Shares(seeds / total, (within - windows) / total, windows / total)
