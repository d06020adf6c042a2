"""Do intervals cover the truth as often as they say, and does comparing alarm no more often than it says?

A judge of known errors answers about features drawn from a population whose mean F1 is known exactly.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from autointerp.board.comparison import compare_within
from autointerp.board.entries import build_entries
from autointerp.seeds import stream
from autointerp.stats.confusion import Table
from autointerp.stats.intervals import mean_interval
from autointerp.stats.metrics import f1
from autointerp.stats.significance import two_sample_permutation_p
from tests.board.noisy_population import N_WINDOWS, POPULATION, draw_run, expected_f1


def simulate(n_runs: int, *, n_features: int) -> Counter[str]:
    """How often the interval of an entry held the truth, and how often two dictionaries of one population were told
    apart: the whole way from the judge's answers to the printed figures, `n_runs` times."""
    truth = expected_f1()
    found: Counter[str] = Counter()
    for seed in range(n_runs):
        scores = draw_run(seed, n_features=n_features, dictionaries=("a", "b"))
        first = build_entries(scores, seed=seed)[0]["f1"]
        assert first is not None
        (row,) = compare_within(scores, metric="f1", seed=seed)
        assert row.difference is not None
        assert row.p_value is not None
        found["covered"] += first["lo"] <= truth <= first["hi"]
        found["alarms by p"] += row.p_value < 0.05
        found["alarms by interval"] += not row.difference.lo <= 0 <= row.difference.hi
    return found


@pytest.mark.full
def test_1000_runs_cover_and_alarm_as_stated() -> None:
    found = simulate(1000, n_features=40)
    assert 930 <= found["covered"] <= 970
    assert found["alarms by p"] <= 65
    assert found["alarms by interval"] <= 65


def draw_f1(rng: np.random.Generator, n_features: int) -> list[float]:
    """F1 of features of the population, drawn as counts: what the judge's answers come to, without the answers."""
    kinds = rng.choice(len(POPULATION), p=[kind.share for kind in POPULATION], size=n_features)
    hits = rng.binomial(N_WINDOWS, [POPULATION[kind].sensitivity for kind in kinds])
    alarms = rng.binomial(N_WINDOWS, [1 - POPULATION[kind].specificity for kind in kinds])
    tables = (Table(h, a, N_WINDOWS - h, N_WINDOWS - a) for h, a in zip(hits.tolist(), alarms.tolist(), strict=True))
    return [value for table in tables if (value := f1(table)) is not None]


def test_intervals_of_counts_cover_the_mean_of_the_population() -> None:
    truth, n_runs = expected_f1(), 600
    n_covered = 0
    for seed in range(n_runs):
        found = mean_interval(
            draw_f1(stream(seed, "draw"), 40), rng=stream(seed, "bootstrap"), bounds=(0.0, 1.0), n_resamples=1000
        )
        assert found is not None
        n_covered += found.lo <= truth <= found.hi
    assert 0.925 <= n_covered / n_runs <= 0.975


def test_permutation_alarms_one_time_in_twenty_where_nothing_differs() -> None:
    n_runs = 600
    n_alarms = 0
    for seed in range(n_runs):
        rng = stream(seed, "null")
        p = two_sample_permutation_p(draw_f1(rng, 40), draw_f1(rng, 40), rng=rng, n_arrangements=199)
        assert p is not None
        n_alarms += p < 0.05
    assert 0.02 <= n_alarms / n_runs <= 0.075


def test_the_real_way_gives_the_mean_of_the_population() -> None:
    scores = draw_run(0, n_features=120)
    error = float(np.std(scores["f1"], ddof=1)) / len(scores) ** 0.5
    assert abs(float(scores["f1"].mean()) - expected_f1()) < 3 * error
    assert set(scores["n_positive"]) == set(scores["n_negative"]) == {N_WINDOWS}
