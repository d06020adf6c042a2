"""Scores of truncated features: thresholds from histograms, and what a cut leaves of the windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.stats.confusion import Table
from autointerp.stats.levels import LEVELS, JudgedFiring, cut_score, threshold_at
from autointerp.stats.metrics import balanced_accuracy, f1


def test_a_threshold_keeps_the_share_asked_for_of_the_firings() -> None:
    activations = np.random.default_rng(0).lognormal(0.0, 1.0, 20_000)
    edges = np.exp2(np.arange(-40, 41) / 4)
    counts, _ = np.histogram(activations, bins=edges)
    for level in LEVELS:
        kept = (activations >= threshold_at(level, edges=edges.tolist(), counts=counts.tolist())).mean()
        assert kept == pytest.approx(level, rel=0.05)


def test_all_firings_are_kept_at_level_one_and_without_a_histogram() -> None:
    assert threshold_at(1.0, edges=[1.0, 2.0], counts=[5]) == 0.0
    assert threshold_at(0.1, edges=[], counts=[]) == 0.0
    with pytest.raises(ValueError, match="level = 0"):
        threshold_at(0, edges=[1.0, 2.0], counts=[5])


def test_a_bin_of_all_firings_is_cut_evenly_in_the_logarithm() -> None:
    assert threshold_at(0.5, edges=[1.0, 4.0], counts=[10]) == pytest.approx(2.0)


@settings(max_examples=60)
@given(
    called=st.lists(st.booleans(), min_size=3, max_size=12),
    n_alarms=st.integers(0, 12),
)
def test_an_uncut_score_is_that_of_as_many_firing_as_silent_windows(called: list[bool], n_alarms: int) -> None:
    n = len(called)
    alarms = min(n_alarms, n)
    table = Table(sum(called), alarms, n - sum(called), n - alarms)
    found = cut_score([JudgedFiring(1.0, c) for c in called], false_alarm=alarms / n, threshold=0.0)
    assert found is not None
    assert found.over_weak is None
    assert found.f1 == pytest.approx(f1(table))
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy(table))


def test_what_fires_below_the_level_is_left_out_and_is_the_second_reading() -> None:
    strong, weak = [JudgedFiring(5.0, True)] * 4, [JudgedFiring(1.0, False)] * 3 + [JudgedFiring(1.0, True)]
    found = cut_score([*strong, *weak], false_alarm=0.25, threshold=2.0)
    assert found is not None
    assert found.balanced_accuracy == pytest.approx((1 + 0.75) / 2)
    assert found.f1 == pytest.approx(2 / 2.25)
    assert found.over_weak == pytest.approx((1 + 0.75) / 2)


def test_windows_count_as_what_they_stand_for() -> None:
    windows = [JudgedFiring(1.0, False, 0.8), JudgedFiring(3.0, True, 0.1), JudgedFiring(4.0, True, 0.1)]
    found = cut_score(windows, false_alarm=0.0, threshold=0.0)
    assert found is not None
    assert found.balanced_accuracy == pytest.approx((0.2 + 1) / 2)


def test_too_few_windows_give_no_score() -> None:
    two = [JudgedFiring(5.0, True)] * 2
    assert cut_score(two, false_alarm=0.0, threshold=0.0) is None
    assert cut_score([*two, JudgedFiring(5.0, True)], false_alarm=None, threshold=0.0) is None
