"""The jackknife: the standard error of a mean where the figure is one, nothing where there is nothing to leave out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t

from sae_core.jackknife import jackknife_interval


def test_of_a_mean_it_is_students_interval() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, 40)
    without = [float(np.delete(x, place).mean()) for place in range(len(x))]
    interval = jackknife_interval(float(x.mean()), without)
    wanted = t.interval(0.95, len(x) - 1, loc=x.mean(), scale=x.std(ddof=1) / np.sqrt(len(x)))
    assert interval == pytest.approx(wanted)


def test_it_covers_a_ratio_about_as_often_as_it_says() -> None:
    draw, n_covered = np.random.default_rng(1), 0
    for _ in range(200):
        below = draw.gamma(5.0, 1.0, 50)
        above = 0.3 * below + draw.normal(0.0, 0.3, 50)
        left = (above.sum() - above) / (below.sum() - below)
        low, high = jackknife_interval(above.sum() / below.sum(), left.tolist()) or (math.nan, math.nan)
        n_covered += low <= 0.3 <= high
    assert 180 <= n_covered <= 198


def test_it_is_none_where_no_group_can_be_left_out() -> None:
    assert jackknife_interval(1.0, [1.0]) is None
    assert jackknife_interval(1.0, [1.0, math.nan]) is None
    assert jackknife_interval(math.nan, [1.0, 1.0]) is None
