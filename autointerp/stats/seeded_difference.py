"""Differences of means over the features of several trainings, the training's seed being a random effect.

Takes values by seed, one seed where a side was not trained or trained once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autointerp.stats.equal_density import EqualDensity, equal_density_difference
from autointerp.stats.intervals import Difference
from autointerp.stats.seed_effect import SeedMean, Spread, difference_spread, mean_spread, seed_spread

__all__ = ["BySeed", "seeded_equal_density", "seeded_spread", "widen_difference"]

BySeed = Sequence[np.ndarray]
"""[n_features] values of each seed."""

Range = tuple[float, float]


def seeded_spread(first: BySeed, second: BySeed, *, is_paired: bool) -> Spread | None:
    """That of first minus second over seeds or features, whichever reaches further; paired, of the same features of the
    same seeds in one order. None where it is not known (`seed_effect.mean_spread`)."""
    if is_paired:
        return mean_spread([(a - b).tolist() for a, b in zip(first, second, strict=True)])
    a, b = (mean_spread([values.tolist() for values in side]) for side in (first, second))
    return None if a is None or b is None else difference_spread(a, b)


def widen_difference(plain: Difference, spread: Spread | None, *, bounds: Range) -> Difference:
    """A difference over features, its interval made to hold the one over seeds; the whole range where that is not
    known."""
    lo, hi = bounds if spread is None else (plain.mean - spread.reach, plain.mean + spread.reach)
    return replace(plain, lo=min(plain.lo, max(lo, bounds[0])), hi=max(plain.hi, min(hi, bounds[1])))


def seeded_equal_density(
    first: BySeed,
    first_density: BySeed,
    second: BySeed,
    second_density: BySeed,
    *,
    rng: np.random.Generator,
    bounds: Range,
) -> EqualDensity:
    """As `equal_density_difference`, of each seed of one side with the same seed of the other, or with the other's only
    one; the mean over these, and an interval over them.

    None for a part of it that fewer than two seeds have.
    """
    n = max(len(first), len(second)) if min(len(first), len(second)) == 1 else min(len(first), len(second))
    # a side of one seed is the same in each of these: its own noise is none that they show
    shared = [side[0] for side in (first, second) if len(side) == 1]
    found = [
        equal_density_difference(
            *(column[min(seed, len(column) - 1)].tolist() for column in (first, first_density, second, second_density)),
            rng=rng,
            bounds=bounds,
        )
        for seed in range(n)
    ]
    rates = [np.concatenate(side) for side in (first_density, second_density)]
    medians = [float(np.exp(np.median(np.log(side)))) for side in rates if len(side)]
    return EqualDensity(
        _mean_over_seeds([each.matched for each in found], shared, bounds),
        sum(each.n_pairs for each in found),
        sum(each.n_possible for each in found),
        _mean_over_seeds([each.strata for each in found], shared, bounds),
        (medians[0], medians[1]) if len(medians) == 2 else None,
    )


def _mean_over_seeds(found: Sequence[Difference | None], shared: BySeed, bounds: Range) -> Difference | None:
    known = [each for each in found if each is not None]
    spread = seed_spread([SeedMean(each.mean, each.n_first) for each in known])
    if spread is None:
        return None
    weights = np.array([each.n_first for each in known], dtype=float)
    weights /= weights.sum()
    mean = float(weights @ [each.mean for each in known])
    own = float(np.sqrt(np.sum((weights * [(each.hi - each.lo) / 2 for each in known]) ** 2)))
    for values in shared:
        fixed = mean_spread([values.tolist()])
        if fixed is not None and spread is not None:
            spread = difference_spread(spread, fixed) or spread
    n_first, n_second = (sum(column) for column in zip(*((d.n_first, d.n_second) for d in known), strict=True))
    plain = Difference(mean, mean - own, mean + own, n_first, n_second, False, None)
    return widen_difference(plain, spread, bounds=bounds)
