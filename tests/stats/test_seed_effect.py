"""Intervals over seeds cover what any seed would find, those over features alone do not; shares of variance are found.

A run is a few trainings: each draws how well its features are explained, then its features, then their answers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.special import stdtr

from autointerp.seeds import stream
from autointerp.stats.intervals import Interval, mean_interval
from autointerp.stats.seed_effect import SeedMean, Spread, mean_spread, seed_spread, variance_shares, widen
from autointerp.stats.seeded_difference import seeded_equal_density, seeded_spread, widen_difference
from tests.board.noisy_population import N_WINDOWS, POPULATION, FeatureType, expected_f1

UNIT = (0.0, 1.0)
_DEVIATION = 0.08
"""How far a seed moves its features' sensitivity and specificity: a normal random effect of this deviation."""
_N_NODES = 15


def population(shift: float) -> tuple[FeatureType, ...]:
    """The features that a training finds whose seed moves their answers by `shift`."""
    return tuple(
        replace(
            kind,
            sensitivity=float(np.clip(kind.sensitivity + shift, 0, 1)),
            specificity=float(np.clip(kind.specificity + shift, 0, 1)),
        )
        for kind in POPULATION
    )


@cache
def truth() -> float:
    """The mean of F1 over all seeds."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
    values = [expected_f1(population(_DEVIATION * node)) for node in nodes]
    return float(weights @ values / weights.sum())


def draw_seeds(rng: np.random.Generator, sizes: tuple[int, ...], *, deviation: float = _DEVIATION) -> list[np.ndarray]:
    """F1 of the features of each seed."""
    found = []
    for n in sizes:
        kinds = population(float(rng.normal(0, deviation)))
        place = rng.choice(len(kinds), p=[kind.share for kind in kinds], size=n)
        hits = rng.binomial(N_WINDOWS, [kinds[i].sensitivity for i in place])
        alarms = rng.binomial(N_WINDOWS, [1 - kinds[i].specificity for i in place])
        found.append(2 * hits / (hits + alarms + N_WINDOWS))
    return found


def over_seeds(by_seed: list[np.ndarray], *, rng: np.random.Generator, n_resamples: int) -> tuple[Interval, Interval]:
    """The interval over features alone, and the one an entry is given."""
    plain = mean_interval(np.concatenate(by_seed).tolist(), rng=rng, bounds=UNIT, n_resamples=n_resamples)
    assert plain is not None
    return plain, widen(plain, [SeedMean(float(each.mean()), len(each)) for each in by_seed], bounds=UNIT)


def simulate(n_runs: int, sizes: tuple[int, ...], *, n_resamples: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for run in range(n_runs):
        rng = stream(run, "seeds", *sizes)
        by_seed = draw_seeds(rng, sizes)
        plain, seeded = over_seeds(by_seed, rng=rng, n_resamples=n_resamples)
        found["features alone"] += plain.lo <= truth() <= plain.hi
        found["seeds"] += seeded.lo <= truth() <= seeded.hi
        other = draw_seeds(rng, sizes)
        spread = seeded_spread(by_seed, other, is_paired=False)
        assert spread is not None
        gap = float(np.concatenate(by_seed).mean() - np.concatenate(other).mean())
        found["alarms"] += 2 * stdtr(spread.freedom, -abs(gap) / spread.error) < 0.05
    return found


@pytest.mark.full
@pytest.mark.parametrize("sizes", [(40,) * 5, (40,) * 3, (40, 34, 40, 38, 22)])
def test_1000_runs_with_a_seed_effect_are_covered_as_stated(sizes: tuple[int, ...]) -> None:
    found = simulate(1000, sizes, n_resamples=4000)
    assert 930 <= found["seeds"] <= 970, found
    assert found["features alone"] <= 850, found
    assert found["alarms"] <= 65, found


def test_intervals_over_seeds_cover_and_those_over_features_do_not() -> None:
    n_runs = 250
    found = simulate(n_runs, (30,) * 5, n_resamples=300)
    assert 0.91 <= found["seeds"] / n_runs <= 0.99, found
    assert found["features alone"] / n_runs <= 0.85, found
    assert found["alarms"] / n_runs <= 0.09, found


def test_without_a_seed_effect_an_interval_over_seeds_misses_no_more_often() -> None:
    value, n_runs, n_covered = expected_f1(), 250, 0
    for run in range(n_runs):
        rng = stream(run, "no effect")
        _, seeded = over_seeds(draw_seeds(rng, (20,) * 4, deviation=0.0), rng=rng, n_resamples=300)
        n_covered += seeded.lo <= value <= seeded.hi
    assert n_covered / n_runs >= 0.94


def test_of_seeds_of_one_size_it_is_the_t_interval_of_their_means() -> None:
    from scipy.stats import t

    means = [0.61, 0.70, 0.66, 0.58]
    spread = seed_spread([SeedMean(mean, 40) for mean in means])
    assert spread is not None
    lo, hi = t.interval(0.95, 3, loc=np.mean(means), scale=np.std(means, ddof=1) / 2)
    assert np.mean(means) - spread.reach == pytest.approx(lo)
    assert np.mean(means) + spread.reach == pytest.approx(hi)


def test_seeds_that_agree_by_chance_narrow_nothing_and_one_seed_says_nothing_of_others() -> None:
    plain = Interval(0.5, 0.42, 0.57, 80)
    assert widen(plain, [SeedMean(0.5, 40), SeedMean(0.5, 40)], bounds=UNIT) == plain
    assert widen(plain, [SeedMean(0.5, 40)], bounds=UNIT) == Interval(0.5, 0.0, 1.0, 80)
    assert widen(plain, [SeedMean(0.2, 40), SeedMean(0.8, 40)], bounds=UNIT) == Interval(0.5, 0.0, 1.0, 80)
    assert mean_spread([[0.4, 0.6], []]) is None
    assert mean_spread([[0.4, 0.6]]) == Spread(pytest.approx(0.1), 1.0)


@pytest.mark.parametrize(("seeds", "windows"), [(0.0, 0.3), (0.25, 0.3), (0.5, 0.1)])
def test_shares_of_variance_are_those_that_were_planted(seeds: float, windows: float) -> None:
    """200 seeds: the share of seeds has a standard error of 0.05 at most."""
    rng = stream(0, "shares", seeds)
    values = rng.normal(0, seeds**0.5, (200, 1)) + rng.normal(0, (1 - seeds) ** 0.5, (200, 30))
    told = [windows / (1 - seeds)] * len(values)
    found = variance_shares(list(values), window_shares=told)
    assert found is not None
    assert found.windows is not None
    assert sum(found) == pytest.approx(1.0)
    assert found.seeds == pytest.approx(seeds, abs=0.1)
    assert found.windows == pytest.approx(windows, abs=0.06)
    untold = variance_shares(list(values))
    assert untold is not None
    assert (untold.windows, untold.features) == (None, pytest.approx(1 - found.seeds))


def test_shares_need_two_seeds_with_a_spread() -> None:
    assert variance_shares([[0.1, 0.2, 0.3]]) is None
    assert variance_shares([[0.1, 0.2], [0.4]]) is None
    assert variance_shares([[0.5, 0.5], [0.5, 0.5]]) is None


def draw_features(rng: np.random.Generator, center: float, *, moved: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores and firing rates of 60 features."""
    rates = np.exp(rng.normal(center, 0.6, 60))
    return 0.1 * np.log(rates) + moved + rng.normal(0, 0.1, 60), rates


def test_a_difference_at_equal_density_takes_the_seeds_for_a_random_effect() -> None:
    """Density moves the score and the seeds move all of it; the fixed side has one seed."""
    n_runs, n_covered, n_plain = 20, 0, 0
    for run in range(n_runs):
        rng = stream(run, "equal density")

        first = [draw_features(rng, -5.0, moved=float(rng.normal(0, 0.06))) for _ in range(5)]
        sides = [list(column) for side in (first, [draw_features(rng, -4.6)]) for column in zip(*side, strict=True)]
        found = seeded_equal_density(*sides, rng=rng, bounds=(-1.0, 1.0))
        assert found.matched is not None
        assert found.n_possible == 300
        n_covered += found.matched.lo <= 0 <= found.matched.hi
        n_plain += abs(found.matched.mean) <= 2 * 0.1 * (1 / 300 + 1 / 60) ** 0.5
    assert n_covered >= 17
    assert n_plain < n_covered


def test_a_difference_over_seeds_is_no_narrower_than_over_features() -> None:
    from autointerp.stats.intervals import Difference

    plain = Difference(0.1, 0.05, 0.15, 80, 80, False, 0.4)
    assert widen_difference(plain, Spread(0.001, 2.0), bounds=(-1.0, 1.0)) == plain
    wide = widen_difference(plain, Spread(0.05, 2.0), bounds=(-1.0, 1.0))
    assert (wide.hi - wide.lo) / 2 == pytest.approx(4.303 * 0.05, abs=1e-3)
    assert widen_difference(plain, None, bounds=(-1.0, 1.0)).lo == -1.0
