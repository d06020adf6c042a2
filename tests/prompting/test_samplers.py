"""Samplers: what is taken, and that the shares estimate a figure over all firing windows without bias."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.config.asking import Sampling
from autointerp.prompting.samplers import Chosen, choose_firing, shares_by_bin
from autointerp.records.window import Kind, Window
from autointerp.seeds import stream
from tests.drawing import examples

SAMPLINGS: tuple[Sampling, ...] = get_args(Sampling)
WEIGHTED = tuple(name for name in SAMPLINGS if name not in ("top", "top_random"))
N_BINS = 4


def window(number: int, value: float, kind: Kind, bin_: int) -> Window:
    return Window(
        id=f"w{number}",
        document=f"d{number}",
        offset=0,
        role="score",
        kind=kind,
        bin=bin_,
        text=f"text {number}",
        token_ids=(1, number),
        token_starts=(0, 4, 5 + len(str(number))),
        activations=(0.0, value),
        candidate=1,
    )


class Population:
    """All firing peaks of a feature, most of them weak, and what a harvest keeps of them."""

    def __init__(self, seed: int, n: int = 400, n_top: int = 6, n_per_bin: int = 5, n_drawn: int = 30) -> None:
        rng = stream(seed, "population")
        self.values = np.sort(rng.exponential(1.0, n) + 0.01)
        width = (self.values[-1] - self.values[0]) / N_BINS
        self.bin = np.minimum(((self.values - self.values[0]) / width).astype(int), N_BINS - 1)
        self.bins = tuple(np.bincount(self.bin, minlength=N_BINS).tolist())
        left = list(rng.permutation(n - n_top))
        kept: list[tuple[int, Kind]] = []
        kept.extend((place, "top") for place in range(n - n_top, n))
        for bin_ in range(N_BINS):
            taken = [place for place in left if self.bin[place] == bin_][:n_per_bin]
            kept.extend((place, "bin") for place in taken)
            left = [place for place in left if place not in taken]
        kept.extend((place, "drawn") for place in left[:n_drawn])
        self.windows = [window(place, float(self.values[place]), kind, int(self.bin[place])) for place, kind in kept]


@pytest.fixture(scope="module")
def populations() -> list[Population]:
    """600 draws of a harvest."""
    return [Population(seed) for seed in range(600)]


def ids(chosen: Sequence[Chosen]) -> list[str]:
    return [c.window.id for c in chosen]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@settings(deadline=None, max_examples=examples(40))
@given(seed=st.integers(0, 10_000), n=st.integers(1, 30))
def test_as_many_as_asked_for_none_twice_and_the_stream_decides(sampling: Sampling, seed: int, n: int) -> None:
    population = Population(seed)
    first, again = (
        choose_firing(sampling, windows, n, stream(seed, "x"), bins=population.bins)
        for windows in (population.windows, population.windows[::-1])
    )
    assert ids(first) == ids(again), "the stored order matters"
    assert len(set(ids(first))) == len(first)
    kinds = {"top": ("top",), "top_random": ("top", "drawn")}.get(sampling, ("top", "bin", "drawn"))
    n_there = sum(w.kind in kinds for w in population.windows)
    if sampling not in ("range", "mixed"):  # these two leave the drawn windows alone
        assert len(first) == min(n, n_there)
    assert all((c.share is None) == (sampling not in WEIGHTED) for c in first)
    assert all(c.share is None or type(c.share) is float for c in first)


@pytest.mark.parametrize("sampling", WEIGHTED)
def test_the_weighted_mean_is_that_of_all_firing_windows(sampling: Sampling, populations: list[Population]) -> None:
    """The share that fires above 1.5, over 600 draws of harvest and sample: as a sum of shares, and as their ratio."""
    sums, ratios, naive = [], [], []
    for seed, population in enumerate(populations):
        chosen = choose_firing(sampling, population.windows, 16, stream(seed, "y"), bins=population.bins)
        values = np.array([c.window.max_activation for c in chosen])
        shares = np.array([c.share or 0.0 for c in chosen])
        truth = (population.values > 1.5).mean()
        sums.append(shares @ (values > 1.5) - truth)
        ratios.append(np.average(values > 1.5, weights=shares) - truth)
        naive.append(float((values > 1.5).mean() - truth))
    assert abs(np.mean(sums)) < 0.015
    # a ratio of two estimates has a bias of the order of 1/n, the larger the more the shares differ
    assert abs(np.mean(ratios)) < (0.05 if sampling == "importance" else 0.02)
    if sampling in ("range", "mixed", "importance"):
        assert np.mean(naive) > 0.15, "without weights the strong ones count too much, or this test shows nothing"


def test_quantiles_hold_equally_many_peaks() -> None:
    population = Population(3, n_drawn=300)
    chosen = choose_firing("quantile", population.windows, 20, stream(0, "q"), bins=population.bins)
    ranks = np.searchsorted(population.values, [c.window.max_activation for c in chosen])
    tenths = Counter((ranks * 10 // len(population.values)).tolist())
    assert set(tenths) == set(range(10))
    assert max(tenths.values()) <= 3
    assert sum(c.share or 0.0 for c in chosen) == pytest.approx(1.0, abs=0.02)


def test_mixed_is_half_the_strongest_and_half_over_the_range() -> None:
    population = Population(1, n=4000)
    chosen = choose_firing("mixed", population.windows, 9, stream(0, "m"), bins=population.bins)
    strongest = sorted(population.windows, key=lambda w: -w.max_activation)[:5]
    assert ids(chosen)[:5] == [w.id for w in strongest]
    assert {c.window.bin for c in chosen[5:]} == set(range(N_BINS))
    assert all(c.share == pytest.approx(1 / 4000) for c in chosen[:5])


def test_importance_takes_what_is_strong_and_makes_up_for_it() -> None:
    taken: Counter[str] = Counter()
    population = Population(2)
    for seed in range(2000):
        taken.update(ids(choose_firing("importance", population.windows, 6, stream(seed, "i"), bins=population.bins)))
    weak, strong = (
        np.mean([taken[w.id] for w in population.windows if w.kind == "drawn" and low < w.max_activation < high])
        for low, high in ((0.1, 0.5), (1.0, 2.0))
    )
    assert strong > 2.5 * weak


def test_without_counts_nothing_is_said_of_the_population() -> None:
    population = Population(0)
    for sampling in SAMPLINGS:
        chosen = choose_firing(sampling, population.windows, 5, stream(0, "n"), bins=None)
        assert len(chosen) == 5
        assert all(c.share is None for c in chosen)


def test_no_windows_give_none() -> None:
    assert all(choose_firing(name, [], 5, stream(0, "e"), bins=(0,) * N_BINS) == [] for name in SAMPLINGS)


def test_windows_of_a_bin_share_its_peaks() -> None:
    windows = [window(0, 1.0, "bin", 0), window(1, 1.1, "bin", 0), window(2, 9.0, "top", 3)]
    assert [c.share for c in shares_by_bin(windows, (30, 5, 4, 1))] == [15 / 40, 15 / 40, 1 / 40]
    assert [c.share for c in shares_by_bin(windows, (30, 5, 4, 9), certain={"w2"})] == [15 / 48, 15 / 48, 1 / 48]


def test_half_of_top_random_is_the_strongest_and_half_is_drawn_from_all() -> None:
    population = Population(0)
    chosen = choose_firing("top_random", population.windows, 8, stream(0, "x"), bins=population.bins)
    assert [c.window.kind for c in chosen] == ["top"] * 4 + ["drawn"] * 4
    assert {c.window.id for c in chosen[:4]} == {
        w.id for w in sorted(population.windows, key=lambda w: -w.max_activation)[:4]
    }
