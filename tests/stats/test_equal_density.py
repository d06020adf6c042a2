"""Differences at equal density: the confounder is taken out, intervals cover, and no overlap says so."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.stats.equal_density import CALIPER, EqualDensity, _match, equal_density_difference
from autointerp.stats.intervals import two_sample_difference

EFFECT = 0.05


def draw(rng: np.random.Generator, *, n: int, median: float, effect: float) -> tuple[list[float], list[float]]:
    """Scores of 20 windows whose expectation falls with the logarithm of the firing rate, and the rates."""
    density = np.exp(rng.normal(np.log(median), 0.8, n))
    expected = np.clip(0.6 - 0.08 * np.log(density / 0.003) + effect + rng.normal(0, 0.1, n), 0.02, 0.98)
    return (rng.binomial(20, expected) / 20).tolist(), density.tolist()


def simulate(n_runs: int, *, n: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        a, x = draw(rng, n=n, median=0.003, effect=EFFECT)
        b, y = draw(rng, n=n, median=0.009, effect=0.0)
        adjusted = equal_density_difference(a, x, b, y, rng=rng, bounds=(-1.0, 1.0))
        plain = two_sample_difference(a, b, rng=rng)
        assert adjusted.matched is not None
        assert adjusted.strata is not None
        assert plain is not None
        found["matched"] += adjusted.matched.lo <= EFFECT <= adjusted.matched.hi
        found["plain"] += plain.lo <= EFFECT <= plain.hi
        found["bias"] += round(1e6 * (adjusted.matched.mean - EFFECT))
    return found


@pytest.mark.full
def test_1000_runs_cover_the_difference_at_equal_density() -> None:
    found = simulate(1000, n=150)
    assert 930 <= found["matched"] <= 970
    assert found["plain"] < 100
    assert abs(found["bias"]) / 1e6 / 1000 < 0.005


def test_runs_cover_the_difference_that_a_plain_mean_misses() -> None:
    found = simulate(30, n=150)
    assert found["matched"] >= 25
    assert found["plain"] < 8


def test_strata_take_most_of_the_confounder_out() -> None:
    rng = np.random.default_rng(0)
    a, x = draw(rng, n=4000, median=0.003, effect=0.0)
    b, y = draw(rng, n=4000, median=0.009, effect=0.0)
    found = equal_density_difference(a, x, b, y, rng=rng, bounds=(-1.0, 1.0))
    assert found.strata is not None
    assert abs(found.strata.mean) < abs(np.mean(a) - np.mean(b)) / 3


def test_densities_that_do_not_overlap_give_no_number() -> None:
    rng = np.random.default_rng(0)
    a, b = [0.5] * 50, [0.6] * 50
    found = equal_density_difference(a, [0.001] * 50, b, [0.1] * 50, rng=rng, bounds=(-1.0, 1.0))
    assert (found.matched, found.n_pairs, found.n_possible, found.strata) == (None, 0, 50, None)
    assert found.medians == pytest.approx((0.001, 0.1))


@settings(max_examples=80)
@given(
    x=st.lists(st.integers(0, 12), max_size=5),
    y=st.lists(st.integers(0, 12), max_size=5),
)
def test_there_are_as_many_pairs_as_there_can_be(x: list[int], y: list[int]) -> None:
    left, right = np.sort(np.array(x, dtype=float)), np.sort(np.array(y, dtype=float))
    pairs = _match(left, right, caliper=1.5)
    short, long = sorted((x, y), key=len)
    most = max(sum(abs(p - q) <= 1.5 for p, q in zip(short, some, strict=False)) for some in permutations(long))
    assert len(pairs) == most
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(abs(left[i] - right[j]) <= 1.5 for i, j in pairs)


def test_the_order_of_features_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    a, x = draw(rng, n=80, median=0.003, effect=EFFECT)
    b, y = draw(rng, n=80, median=0.004, effect=0.0)
    order = rng.permutation(80)

    def found(places: np.ndarray) -> EqualDensity:
        values = [a[i] for i in places], [x[i] for i in places]
        return equal_density_difference(*values, b, y, rng=np.random.default_rng(0), bounds=(-1.0, 1.0))

    assert found(order) == found(np.arange(80))
    assert found(order).n_pairs > 40
    assert CALIPER > 1
