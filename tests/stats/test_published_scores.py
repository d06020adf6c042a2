"""The published F1 of O'Neill et al. 2024 (arXiv 2411.13117), read with intervals and baselines."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autointerp.seeds import stream
from autointerp.stats.baselines import always_yes_macro_f1, coin_mean
from autointerp.stats.intervals import mean_interval, two_sample_difference
from autointerp.stats.metrics import macro_f1
from autointerp.stats.significance import smallest_difference

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def published() -> dict[str, list[float]]:
    root = Path(os.environ.get("AUTOINTERP_REAL_DATA") or Path(__file__).parents[2] / "../shared/data")
    file = root / "reference/oneill2024_gpt2_l9_f1.csv"
    if not file.is_file():
        pytest.skip(f"{file} is not there; set AUTOINTERP_REAL_DATA")
    table = pd.read_csv(file)
    return {str(encoder): rows["f1"].tolist() for encoder, rows in table.groupby("encoder")}


def test_means_and_the_interval_of_their_difference(published: dict[str, list[float]]):
    sae, mlp = published["sae"], published["mlp"]
    found = two_sample_difference(mlp, sae, rng=stream(0, "bootstrap", "published"))
    assert found is not None
    assert (found.n_first, found.n_second) == (200, 200)
    assert sum(sae) / 200 == pytest.approx(0.639, abs=5e-4)
    assert sum(mlp) / 200 == pytest.approx(0.686, abs=5e-4)
    assert found.mean == pytest.approx(0.047, abs=5e-4)
    assert (found.hi - found.lo) / 2 == pytest.approx(0.045, abs=0.002)


def test_the_means_lie_above_what_macro_f1_gives_for_nothing(published: dict[str, list[float]]):
    assert always_yes_macro_f1(5, 5) == pytest.approx(1 / 3)
    coin = coin_mean(macro_f1, 5, 5)
    assert coin == pytest.approx(0.487, abs=5e-4)
    for encoder, values in published.items():
        interval = mean_interval(values, rng=stream(0, "bootstrap", encoder), bounds=(0.0, 1.0))
        assert interval is not None
        assert interval.lo > coin, encoder


def test_two_hundred_features_cannot_show_the_gap(published: dict[str, list[float]]):
    deviation = float(np.std(published["sae"], ddof=1))
    assert smallest_difference(200, deviation=deviation) > 0.047
