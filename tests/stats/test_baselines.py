from __future__ import annotations

from itertools import product

import pytest
from sklearn.metrics import f1_score

from autointerp.stats.baselines import (
    Baselines,
    always_no_accuracy,
    always_yes_f1,
    always_yes_macro_f1,
    coin_f1,
    coin_mean,
    mean_baselines,
)
from autointerp.stats.confusion import Table
from autointerp.stats.metrics import f1, macro_f1


def test_known_values():
    assert always_yes_f1(5, 5) == pytest.approx(0.667, abs=5e-4)
    assert always_no_accuracy(4, 10) == pytest.approx(0.714, abs=5e-4)
    assert coin_f1(5, 5) == pytest.approx(0.487, abs=5e-4)
    assert coin_f1(20, 20) == pytest.approx(0.497, abs=5e-4)


@pytest.mark.parametrize(("n_positive", "n_negative"), [(1, 1), (2, 3), (3, 1), (4, 4), (3, 0)])
def test_coin_is_the_mean_over_every_sequence_of_throws(n_positive: int, n_negative: int):
    values = []
    for throws in product((False, True), repeat=n_positive + n_negative):
        hits, alarms = sum(throws[:n_positive]), sum(throws[n_positive:])
        values.append(f1(Table(hits, alarms, n_positive - hits, n_negative - alarms)))
    assert coin_f1(n_positive, n_negative) == pytest.approx(sum(values) / len(values))


@pytest.mark.parametrize(("n_positive", "n_negative"), [(5, 5), (2, 7), (6, 1)])
def test_macro_f1_and_its_lines_are_scikit_learns(n_positive: int, n_negative: int):
    truth = [True] * n_positive + [False] * n_negative
    for hits, alarms in product(range(n_positive + 1), range(n_negative + 1)):
        answers = [place < hits for place in range(n_positive)] + [place < alarms for place in range(n_negative)]
        table = Table(hits, alarms, n_positive - hits, n_negative - alarms)
        assert macro_f1(table) == pytest.approx(f1_score(truth, answers, average="macro", zero_division=0))
    always = f1_score(truth, [True] * len(truth), average="macro", zero_division=0)
    assert always_yes_macro_f1(n_positive, n_negative) == pytest.approx(always)
    assert always_yes_macro_f1(5, 5) == pytest.approx(1 / 3)
    assert coin_mean(macro_f1, 5, 5) == pytest.approx(0.487, abs=5e-4)


def test_means_are_over_the_counts_used():
    found = mean_baselines([(5, 5), (5, 5), (2, 6)])
    assert found.always_yes_f1 == pytest.approx((2 * always_yes_f1(5, 5) + always_yes_f1(2, 6)) / 3)
    assert found.coin_f1 == pytest.approx((2 * coin_f1(5, 5) + coin_f1(2, 6)) / 3)
    assert found.always_no_accuracy == pytest.approx((2 * 0.5 + 0.75) / 3)
    assert mean_baselines([]) == Baselines(None, None, None, None, None)


def test_no_firing_window_earns_nothing_and_no_window_is_a_bug():
    assert coin_f1(0, 5) == 0.0
    assert always_yes_f1(0, 5) == 0.0
    with pytest.raises(ValueError, match="0 and 0"):
        coin_f1(0, 0)
