from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from autointerp.seeds import stream
from autointerp.stats.intervals import Interval, _bca_levels, mean_interval, paired_difference, two_sample_difference

UNIT = (0.0, 1.0)


def rng(name: str | int = 0) -> np.random.Generator:
    return stream(7, "test", name)


def test_agrees_with_scipys_bca():
    values = rng("values").beta(5, 2, size=120)
    ours = mean_interval(values.tolist(), rng=rng(), bounds=UNIT, n_resamples=20_000)
    theirs = bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=rng(1)).confidence_interval
    assert ours is not None
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.lo, ours.hi) == (pytest.approx(theirs.low, abs=0.002), pytest.approx(theirs.high, abs=0.002))


def test_covers_the_true_mean_about_95_times_in_100():
    n_trials, covered = 300, 0
    for trial in range(n_trials):
        # Skewed and discrete, as F1 near 1 is.
        sample = np.minimum(1.0, np.round(rng(trial).beta(6, 1.5, size=60), 2))
        found = mean_interval(sample.tolist(), rng=rng(f"draw {trial}"), bounds=UNIT, n_resamples=1000)
        assert found is not None
        covered += found.lo <= 0.8 <= found.hi
    # The beta's mean is 6 / 7.5 = 0.8. Binomial with p = 0.95, n = 300: 0.91 to 0.98 holds with probability 0.997.
    assert 0.91 <= covered / n_trials <= 0.98


def test_order_and_multiplicity_of_the_stream_do_not_matter():
    values = [0.1, 0.4, 0.4, 0.9, 0.7]
    once = mean_interval(values, rng=rng(), bounds=UNIT)
    assert once == mean_interval(sorted(values), rng=rng(), bounds=UNIT)


def test_thin_samples_have_the_stated_intervals():
    assert mean_interval([], rng=rng(), bounds=UNIT) is None
    assert mean_interval([0.3], rng=rng(), bounds=(-1.0, 1.0)) == Interval(0.3, -1.0, 1.0, 1)
    assert mean_interval([0.3] * 5, rng=rng(), bounds=UNIT) == Interval(0.3, 0.3, 0.3, 5)
    with pytest.raises(ValueError, match="finite"):
        mean_interval([0.3, float("nan")], rng=rng(), bounds=UNIT)


def test_the_interval_narrows_with_the_square_root_of_n():
    values = rng("values").random(100).tolist()
    narrow = mean_interval(values * 4, rng=rng(), bounds=UNIT)
    wide = mean_interval(values, rng=rng(), bounds=UNIT)
    assert narrow is not None
    assert wide is not None
    assert (wide.hi - wide.lo) / (narrow.hi - narrow.lo) == pytest.approx(2, rel=0.08)


def test_pairing_removes_what_the_features_share():
    easy = rng("easy").random(80)
    better = (np.clip(easy + 0.05, 0, 2)).tolist()
    paired = paired_difference(better, easy.tolist(), rng=rng())
    apart = two_sample_difference(better, easy.tolist(), rng=rng())
    assert paired is not None
    assert apart is not None
    assert paired.mean == pytest.approx(0.05)
    assert paired.lo == pytest.approx(0.05)
    assert apart.lo < 0 < apart.hi
    assert (paired.is_paired, apart.is_paired) == (True, False)


def test_two_sample_interval_is_that_of_the_normal_approximation():
    a, b = rng("a").normal(0.7, 0.2, 300), rng("b").normal(0.5, 0.3, 150)
    found = two_sample_difference(a.tolist(), b.tolist(), rng=rng(), n_resamples=20_000)
    half = 1.96 * (a.var() / 300 + b.var() / 150) ** 0.5
    assert found is not None
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert (found.hi - found.lo) / 2 == pytest.approx(half, rel=0.03)
    pooled = ((299 * a.var(ddof=1) + 149 * b.var(ddof=1)) / 448) ** 0.5
    assert found.effect_size == pytest.approx(found.mean / pooled)


def test_differences_of_nothing_and_of_unequal_pairs():
    assert two_sample_difference([], [0.4], rng=rng()) is None
    assert paired_difference([], [], rng=rng()) is None
    one = two_sample_difference([0.5], [0.4, 0.2], rng=rng())
    assert one is not None
    assert (one.lo, one.hi) == (-1.0, 1.0)
    with pytest.raises(ValueError, match="2 against 1"):
        paired_difference([0.1, 0.2], [0.3], rng=rng())


@pytest.mark.parametrize("ulps", [-2, -1, 1, 2])
def test_a_resampled_mean_that_rounds_otherwise_is_still_a_tie(ulps: int) -> None:
    unique, counts = np.array([0.1, 0.3, 0.7]), np.array([2, 2, 2])
    mean = unique @ counts / counts.sum()
    means = np.repeat([0.2, mean, 0.6], [30, 40, 30])
    shifted = np.where(means == mean, mean + ulps * np.spacing(mean), means)
    assert np.array_equal(_bca_levels(shifted, unique, counts), _bca_levels(means, unique, counts))
