"""Statistics of pass 1: histogram and sample."""

from __future__ import annotations

import numpy as np
import pytest

from autointerp.harvest.firing import Firings
from autointerp.harvest.statistics import HISTOGRAM_EDGES, FeatureStatistics, drawing_order


def statistics() -> FeatureStatistics:
    return FeatureStatistics(4, order=drawing_order(0, "d", 4), vocab_size=10)


def test_every_activation_falls_between_the_edges_of_its_bin() -> None:
    value = np.exp(np.random.default_rng(0).uniform(-9, 9, 500)).astype(np.float32)
    found = statistics()
    firings = Firings(np.zeros(500, dtype=np.int64), np.arange(500), value)
    found.add(firings, tokens=np.zeros(500, dtype=np.int64), role="score")
    edges, counts = found.histogram_of(0)
    assert set(edges) <= set(HISTOGRAM_EDGES.tolist())
    assert counts == tuple(np.histogram(value, bins=np.array(edges))[0].tolist())
    assert found.histogram_of(1) == ((), ())


def test_extreme_activations_are_counted_in_the_last_bins() -> None:
    found = statistics()
    firings = Firings(np.array([2, 2]), np.array([0, 1]), np.array([1e-30, 1e30], dtype=np.float32))
    found.add(firings, tokens=np.zeros(2, dtype=np.int64), role="explain")
    assert sum(found.histogram_of(2)[1]) == 2
    assert found.range(np.array([2]))[1][0] == pytest.approx(1e30)


def test_the_sample_is_the_first_live_features_of_the_order() -> None:
    found = statistics()
    found.n_firing[0] = [5, 0, 5, 1]
    found.n_firing[1] = [0, 0, 5, 4]
    live = [f for f in drawing_order(0, "d", 4).tolist() if f in (0, 2, 3)]
    assert found.draw(2, min_firing=5).tolist() == sorted(live[:2])
    assert found.draw(None, min_firing=5).tolist() == [0, 2, 3]


def test_features_are_drawn_within_a_range_of_rates() -> None:
    found = statistics()
    found.n_tokens[:] = 500
    found.n_firing[0] = [1, 10, 100, 0]
    assert found.draw(None, min_firing=1, density=(0.01, 0.1)).tolist() == [1, 2]
    assert found.draw(None, min_firing=50, density=(0.01, 1.0)).tolist() == [2]
    assert found.draw(1, min_firing=1, density=(0.0, 0.001)).tolist() == [0]
