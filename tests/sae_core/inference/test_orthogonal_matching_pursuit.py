"""Orthogonal matching pursuit: scikit-learn's codes, scipy's non-negative least squares, and exact recovery."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.linear_model import orthogonal_mp

from sae_core.inference.orthogonal_matching_pursuit import orthogonal_matching_pursuit
from sae_core.mcc import Matching
from sae_core.support import support_recovery
from sae_core.synthetic import PlantedDictionary

SHAPES = [(40, 16, 5), (100, 30, 10), (20, 10, 10), (6, 12, 6)]


def _problem(seed: int, n_rows: int, d_in: int, n_features: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(n_features, d_in, generator=draw).double(), dim=1)
    return torch.randn(n_rows, d_in, generator=draw).double(), directions


@pytest.mark.parametrize(("n_features", "d_in", "n_active"), SHAPES)
def test_signed_codes_are_those_of_scikit_learn(n_features: int, d_in: int, n_active: int) -> None:
    x, directions = _problem(1, 25, d_in, n_features)
    wanted = orthogonal_mp(directions.numpy().T, x.numpy().T, n_nonzero_coefs=n_active).T
    code = orthogonal_matching_pursuit(x, directions, n_active=n_active)
    np.testing.assert_allclose(code.to_dense(n_features).numpy(), wanted, atol=1e-9)
    single = orthogonal_matching_pursuit(x.float(), directions.float(), n_active=n_active)
    np.testing.assert_allclose(single.to_dense(n_features).numpy(), wanted, atol=1e-4)


def test_a_threshold_stops_rows_as_in_scikit_learn() -> None:
    x, directions = _problem(2, 40, 16, 40)
    wanted = orthogonal_mp(directions.numpy().T, x.numpy().T, tol=1.2**2).T
    code = orthogonal_matching_pursuit(x, directions, n_active=16, residual_threshold=1.2)
    np.testing.assert_allclose(code.to_dense(40).numpy(), wanted, atol=1e-9)


@pytest.mark.parametrize(("n_features", "d_in", "n_active"), SHAPES)
def test_non_negative_codes_are_the_best_ones_of_their_features(n_features: int, d_in: int, n_active: int) -> None:
    x, directions = _problem(3, 25, d_in, n_features)
    code = orthogonal_matching_pursuit(x, directions, n_active=n_active, is_non_negative=True)
    assert bool((code.values >= 0).all())
    for signal, values, indices in zip(x, *code, strict=True):
        features = indices[values > 0].unique()
        # All features that were ever chosen may be used: those at 0 must not be able to help.
        chosen = indices.unique()
        best, error = nnls(directions[chosen].numpy().T, signal.numpy())
        found = float((signal - values @ directions[indices]).norm())
        assert found == pytest.approx(error, abs=1e-9)
        np.testing.assert_array_equal(chosen.numpy()[best > 1e-9], features.numpy())


def test_every_feature_is_chosen_for_its_correlation_with_what_is_left() -> None:
    x, directions = _problem(4, 15, 12, 30)
    wanted = []
    for signal in x.numpy():
        chosen: list[int] = []
        residual = signal
        for _ in range(5):
            correlations = directions.numpy() @ residual
            correlations[chosen] = -np.inf
            chosen.append(int(correlations.argmax()))
            values, _ = nnls(directions.numpy()[chosen].T, signal)
            residual = signal - values @ directions.numpy()[chosen]
        wanted.append(chosen)
    code = orthogonal_matching_pursuit(x, directions, n_active=5, is_non_negative=True)
    assert code.indices.tolist() == wanted


def test_equal_directions_and_more_steps_than_features_do_no_harm() -> None:
    direction = torch.nn.functional.normalize(torch.randn(1, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    directions = torch.cat([direction, direction, torch.eye(8)[:3]])
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
    for is_non_negative in (False, True):
        code = orthogonal_matching_pursuit(x, directions, n_active=9, is_non_negative=is_non_negative)
        assert code.values.shape == (20, 9) and bool(code.values.isfinite().all())
        if not is_non_negative:
            residual = x - code.to_dense(5) @ directions
            assert float((residual @ directions.T).abs().max()) < 1e-5


def test_no_active_features_are_refused() -> None:
    x, directions = _problem(0, 2, 6, 20)
    with pytest.raises(ValueError, match="n_active = 0"):
        orthogonal_matching_pursuit(x, directions, n_active=0)


def _exact_frac(n_features: int, k: int, *, share: float) -> float:
    """Share of noiseless samples over the true random directions whose active set is found wholly, with `share` of
    4 k ln(n_features / k) measurements (Tropp & Gilbert 2007: of the order of k ln n_features suffice)."""
    d_in = math.ceil(share * 4 * k * math.log(n_features / k))
    everything = torch.arange(n_features)
    identity = Matching(1.0, 1.0, everything, everything, torch.ones(n_features))
    shares = []
    for seed in range(10):
        planted = PlantedDictionary.draw(n_features=n_features, d_in=d_in, k=k, seed=seed)
        codes = planted.codes(100, seed=seed)
        found = orthogonal_matching_pursuit(codes @ planted.directions, planted.directions, n_active=k)
        shares.append(support_recovery(codes, found.to_dense(n_features), identity).exact_frac)
    return sum(shares) / len(shares)


@pytest.mark.parametrize(("n_features", "k"), [(16, 3), (64, 3), (128, 5), (128, 8)])
def test_the_planted_support_is_recovered_with_enough_measurements(n_features: int, k: int) -> None:
    assert _exact_frac(n_features, k, share=1.0) >= 0.98


@pytest.mark.parametrize(("n_features", "k"), [(64, 3), (128, 8)])
def test_recovery_falls_with_half_the_measurements(n_features: int, k: int) -> None:
    assert 0.87 <= _exact_frac(n_features, k, share=0.5) <= 0.97


def test_recovery_breaks_down_below_that() -> None:
    assert 0.6 <= _exact_frac(128, 5, share=0.3) <= 0.8
