"""Fitted thresholds give each feature its target density."""

from __future__ import annotations

import pytest
import torch

from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig
from sae_core.errors import TrainingDataError, WidthMismatchError
from sae_core.firing import draw_densities, firing_densities, fit_thresholds, live_densities
from sae_core.quality import measure_quality

X = torch.randn(2000, 8, generator=torch.Generator().manual_seed(0))
RANDOM = build_dictionary(DictionaryConfig(kind="random", n_features=30), d_in=8, seed=0, sample=X)


def test_each_feature_fires_with_its_own_density() -> None:
    target = torch.linspace(0.001, 0.5, 30)
    whole = fit_thresholds(RANDOM, X, target_density=target)
    found = (RANDOM.encode_dense(X) > whole).float().mean(dim=0)
    torch.testing.assert_close(found, target, rtol=0, atol=1.01 / 2000)
    chunked = fit_thresholds(RANDOM, X, target_density=target, features_per_chunk=7)
    torch.testing.assert_close(chunked, whole)


def test_the_threshold_is_a_value_of_the_sample_at_its_place_in_the_order() -> None:
    target = torch.linspace(0.001, 0.5, 30)
    ordered = RANDOM.encode_dense(X).sort(dim=0, descending=True).values
    places = (target.double() * len(X)).round().long()
    assert torch.equal(fit_thresholds(RANDOM, X, target_density=target), ordered.gather(0, places[None])[0])


def test_densities_are_those_of_the_quality() -> None:
    assert torch.equal(firing_densities(RANDOM, X), measure_quality(RANDOM, [X]).density)


def test_one_density_for_all_and_at_least_one_firing() -> None:
    for density, count in ((0.05, 100), (0.0, 1)):
        thresholds = fit_thresholds(RANDOM, X, target_density=density)
        counts = (RANDOM.encode_dense(X) > thresholds).sum(dim=0)
        assert (counts - count).abs().max() <= 1


def test_tied_zeros_of_a_relu_neuron_never_count_as_firing() -> None:
    neurons = build_dictionary(DictionaryConfig(kind="identity"), d_in=8, seed=0)
    rare = torch.where(X > 2, X, 0.0)  # fires on 2.3%
    thresholds = fit_thresholds(neurons, rare, target_density=0.1)
    assert thresholds.tolist() == [0.0] * 8
    assert torch.equal(rare > thresholds, rare > 0)


def test_densities_are_drawn_from_the_live_ones() -> None:
    live = live_densities(torch.tensor([0.0, 0.1, 0.2, 0.0, 0.9]), max_density=0.5)
    assert live.tolist() == pytest.approx([0.1, 0.2])
    drawn = draw_densities(live, n_features=5, seed=3)
    assert sorted(drawn.tolist()) in (pytest.approx([0.1] * 2 + [0.2] * 3), pytest.approx([0.1] * 3 + [0.2] * 2))
    assert torch.equal(drawn, draw_densities(live, n_features=5, seed=3))
    with pytest.raises(TrainingDataError, match="no feature"):
        draw_densities(torch.zeros(0), n_features=5, seed=0)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_thresholds(RANDOM, X, target_density=1.5)
    with pytest.raises(TrainingDataError, match="holds 1 activations"):
        fit_thresholds(RANDOM, X[:1], target_density=0.1)
    with pytest.raises(WidthMismatchError):
        fit_thresholds(RANDOM, X[:, :3], target_density=0.1)
