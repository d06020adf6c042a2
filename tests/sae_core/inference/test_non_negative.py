"""Batched non-negative least squares equals scipy's, row by row, with features that may not be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from sae_core.inference.non_negative import free_least_squares, non_negative_least_squares


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 10_000),
    n_rows=st.integers(1, 6),
    k=st.integers(1, 7),
    n_spare=st.integers(0, 5),
    is_correlated=st.booleans(),
)
def test_codes_are_scipys(seed: int, n_rows: int, k: int, n_spare: int, is_correlated: bool) -> None:
    draw = np.random.default_rng(seed)
    atoms = draw.normal(size=(n_rows, k, k + n_spare)) + (3.0 if is_correlated else 0.0)
    x = draw.normal(size=(n_rows, k + n_spare))
    is_allowed = draw.random((n_rows, k)) < 0.8
    gram = torch.from_numpy(atoms @ atoms.transpose(0, 2, 1))
    target = torch.from_numpy((atoms @ x[:, :, None])[:, :, 0])
    nothing = torch.zeros(n_rows, k, dtype=torch.bool)
    codes, is_free = non_negative_least_squares(
        gram, target, start=torch.zeros(n_rows, k).double(), is_free=nothing, is_allowed=torch.from_numpy(is_allowed)
    )
    for row in range(n_rows):
        wanted = np.zeros(k)
        if is_allowed[row].any():
            wanted[is_allowed[row]] = nnls(atoms[row, is_allowed[row]].T, x[row])[0]
        np.testing.assert_allclose(codes[row].numpy(), wanted, atol=1e-6)
        assert not (codes[row].numpy()[~is_free[row].numpy()]).any()


def test_free_least_squares_solves_for_the_free_features_alone() -> None:
    draw = np.random.default_rng(0)
    atoms, x = draw.normal(size=(3, 4, 6)), draw.normal(size=(3, 6))
    is_free = np.array([[True, False, True, True], [False] * 4, [True] * 4])
    codes, _ = free_least_squares(
        torch.from_numpy(atoms @ atoms.transpose(0, 2, 1)),
        torch.from_numpy((atoms @ x[:, :, None])[:, :, 0]),
        is_free=torch.from_numpy(is_free),
    )
    for row in range(3):
        wanted = np.zeros(4)
        wanted[is_free[row]] = np.linalg.lstsq(atoms[row, is_free[row]].T, x[row], rcond=None)[0]
        np.testing.assert_allclose(codes[row].numpy(), wanted, atol=1e-9)


@pytest.mark.parametrize("rounding", [0.0, 2.0**-23, 2.0**-22])
def test_a_singular_system_shows_in_its_factor(rounding: float) -> None:
    """Also where a processor leaves a pivot of rounding alone."""
    gram = torch.tensor([[[1.0, 1.0], [1.0, 1.0 + rounding]]])
    _, factor = free_least_squares(gram, torch.ones(1, 2), is_free=torch.ones(1, 2, dtype=torch.bool))
    assert bool(factor.isnan().all())
    _, factor = free_least_squares(
        gram + torch.eye(2) * 1e-3, torch.ones(1, 2), is_free=torch.ones(1, 2, dtype=torch.bool)
    )
    assert bool(factor.isfinite().all())
