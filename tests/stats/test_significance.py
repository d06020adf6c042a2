"""p-values, their correction, equivalence and the smallest difference: against scipy and by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_1samp, ttest_ind, ttest_rel

from autointerp.seeds import stream
from autointerp.stats.significance import (
    difference_p_value,
    features_needed,
    find_equivalence,
    holm,
    paired_permutation_p,
    smallest_difference,
    two_sample_permutation_p,
)


def test_few_pairs_are_counted_out() -> None:
    # all gaps of one sign: 2 of the 2**4 sign patterns are as extreme
    assert paired_permutation_p([1, 2, 3, 4], [0, 0, 0, 0], rng=stream(0, "t")) == pytest.approx(2 / 16)
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=10), rng.normal(size=10)
    other = permutation_test(
        (first, second), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert paired_permutation_p(first, second, rng=stream(0, "t")) == pytest.approx(other.pvalue)


def test_two_samples_agree_with_every_arrangement_counted() -> None:
    a, b = [0.1, 0.9, 0.4, 0.8], [0.0, 0.3, 0.2]
    observed = abs(ttest_ind(a, b, equal_var=False).statistic)
    both = [*a, *b]
    statistics = [
        abs(ttest_ind([both[i] for i in order[:4]], [both[i] for i in order[4:]], equal_var=False).statistic)
        for order in {(*sorted(p[:4]), *sorted(p[4:])) for p in permutations(range(7))}
    ]
    exact = np.mean(np.array(statistics) >= observed - 1e-9)
    found = two_sample_permutation_p(a, b, rng=stream(0, "t"), n_arrangements=20_000)
    assert found == pytest.approx(exact, abs=0.012)


@pytest.mark.parametrize("is_paired", [True, False])
def test_where_nothing_differs_one_in_twenty_is_a_false_alarm(is_paired: bool) -> None:
    rng = np.random.default_rng(3)
    n_alarms, n_runs = 0, 400
    for run in range(n_runs):
        # skewed values, and in two samples unequal spreads and sizes: what a t-test finds hard
        a = rng.beta(0.5, 2, size=30) if is_paired else rng.exponential(1.0, size=40)
        b = rng.beta(0.5, 2, size=30) if is_paired else rng.normal(1.0, 0.2, size=80)
        test = paired_permutation_p if is_paired else two_sample_permutation_p
        p = test(a, b, rng=stream(run, "t"), n_arrangements=199)
        assert p is not None
        n_alarms += p <= 0.05
    # 0.05 +- 3 standard errors, and what unequal skewness adds in samples of 40
    assert 0.017 <= n_alarms / n_runs <= 0.10 if not is_paired else 0.017 <= n_alarms / n_runs <= 0.083


def test_a_gap_is_found_and_too_few_say_nothing() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 0.1, size=50), rng.normal(0.4, 0.1, size=50)
    for test in (paired_permutation_p, two_sample_permutation_p):
        assert test(a, b, rng=stream(0, "t")) == pytest.approx(1e-4)
        assert test([1.0], [0.0], rng=stream(0, "t")) is None
    assert two_sample_permutation_p([1.0] * 5, [1.0] * 5, rng=stream(0, "t"), n_arrangements=99) == 1.0


def test_holm_by_hand() -> None:
    # sorted: .01 x 4, .02 x 3, .03 x 2, .5 x 1, never falling
    assert holm([0.03, 0.01, None, 0.5, 0.02]) == [
        pytest.approx(0.06),
        pytest.approx(0.04),
        None,
        pytest.approx(0.5),
        pytest.approx(0.06),
    ]


def test_holm_never_exceeds_one() -> None:
    assert holm([0.9, 0.8, 0.7]) == [1.0, 1.0, 1.0]


def test_p_values_are_the_libraries() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 0.2, 80), rng.normal(0.5, 0.2, 80)
    assert difference_p_value(a, b, is_paired=False) == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue)
    assert difference_p_value(a, b, is_paired=True) == pytest.approx(ttest_rel(a, b).pvalue)


@pytest.mark.parametrize(
    ("a", "b", "is_paired"), [([1.0], [0.5, 0.6], False), ([1, 1], [1, 1], True), ([1, 1], [0, 0], False)]
)
def test_undefined_is_none(a: list[float], b: list[float], is_paired: bool) -> None:
    assert difference_p_value(a, b, is_paired=is_paired) is None


@pytest.mark.parametrize("is_paired", [True, False])
def test_the_p_value_is_the_larger_of_the_two_one_sided_ones(is_paired: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.50, 0.1, size=60), rng.normal(0.49, 0.2, size=60 if is_paired else 35)
    found = find_equivalence(a, b, margin=0.08, is_paired=is_paired)
    assert found is not None
    if is_paired:
        sides = [
            ttest_1samp(a - b, -0.08, alternative="greater").pvalue,
            ttest_1samp(a - b, 0.08, alternative="less").pvalue,
        ]
    else:
        sides = [
            ttest_ind(a + 0.08, b, equal_var=False, alternative="greater").pvalue,
            ttest_ind(a - 0.08, b, equal_var=False, alternative="less").pvalue,
        ]
    assert found.p_value == pytest.approx(max(sides))


@pytest.mark.parametrize(
    ("gap", "n", "verdict"), [(0.0, 200, "equivalent"), (0.0, 8, "undecided"), (0.4, 50, "different")]
)
def test_not_finding_a_difference_is_not_showing_equality(gap: float, n: int, verdict: str) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(gap, 0.1, size=n), rng.normal(0.0, 0.1, size=n)
    found = find_equivalence(a, b, margin=0.05, is_paired=False)
    assert found is not None
    assert found.verdict == verdict
    assert (found.verdict == "equivalent") == (found.lo > -0.05 and found.hi < 0.05)


def test_at_the_edge_of_the_margin_it_is_wrong_one_time_in_twenty() -> None:
    rng = np.random.default_rng(2)
    verdicts = [
        find_equivalence(rng.normal(0.1, 0.2, size=40), rng.normal(0.0, 0.2, size=40), margin=0.1, is_paired=False)
        for _ in range(600)
    ]
    wrong = np.mean([v is not None and v.verdict == "equivalent" for v in verdicts])
    assert 0.02 <= wrong <= 0.08


def test_what_cannot_be_tested() -> None:
    assert find_equivalence([1.0], [1.0], margin=0.1, is_paired=True) is None
    assert find_equivalence([1.0] * 4, [1.0] * 4, margin=0.1, is_paired=True) is None
    with pytest.raises(ValueError, match="margin must be above 0"):
        find_equivalence([1.0, 2.0], [1.0, 2.0], margin=0.0, is_paired=True)


def test_known_value():
    # (1.960 + 0.842) * 0.25 * sqrt(2 / 200)
    assert smallest_difference(200, deviation=0.25) == pytest.approx(0.0700, abs=1e-4)


def test_a_difference_of_that_size_is_found_in_four_tests_of_five():
    n, deviation = 100, 0.2
    gap = smallest_difference(n, deviation=deviation)
    rng = stream(0, "power")
    first, second = rng.normal(gap, deviation, (2000, n)), rng.normal(0, deviation, (2000, n))
    z = (first.mean(1) - second.mean(1)) / (deviation * (2 / n) ** 0.5)
    assert (abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.03)


def test_features_needed_inverts_it():
    n = features_needed(0.07, deviation=0.25)
    assert smallest_difference(n, deviation=0.25) <= 0.07 < smallest_difference(n - 1, deviation=0.25)
    with pytest.raises(ValueError, match="difference > 0"):
        features_needed(0.0, deviation=0.25)
    with pytest.raises(ValueError, match="n >= 1"):
        smallest_difference(0, deviation=0.25)
