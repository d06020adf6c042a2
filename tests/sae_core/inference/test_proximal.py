"""ISTA and FISTA: scikit-learn's optimum, the optimality conditions, stacked problems, warm starts and tolerance."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from sae_core.errors import WidthMismatchError
from sae_core.inference.lasso_lars import lasso_lars
from sae_core.inference.optimality import kkt_residual, lasso_objective
from sae_core.inference.proximal import fista, ista, largest_curvature

# One of each way of taking the gradient: through the Gram matrix (few features) and through the directions (many).
SHAPES = [(16, 8), (100, 30)]


def _problem(n_features: int, d_in: int, *problems: int, n_rows: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(n_features)
    directions = torch.randn(*problems, n_features, d_in, generator=draw).double()
    x = torch.randn(*problems, n_rows, d_in, generator=draw).double()
    return x, torch.nn.functional.normalize(directions, dim=-1)


@pytest.mark.parametrize("is_non_negative", [True, False])
@pytest.mark.parametrize(("n_features", "d_in"), SHAPES)
def test_fista_reaches_scikit_learns_lasso(n_features: int, d_in: int, is_non_negative: bool) -> None:
    x, directions = _problem(n_features, d_in)
    wanted = lasso_lars(x, directions, l1_weight=0.3, is_non_negative=is_non_negative)
    found = fista(x, directions, l1_weight=0.3, n_steps=5000, is_non_negative=is_non_negative, tolerance=1e-9)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    missed = kkt_residual(x, directions, found, l1_weight=0.3, is_non_negative=is_non_negative)
    assert float(missed.max()) <= 1e-9
    assert (found < 0).any() == (not is_non_negative)


def test_float32_reaches_float32_accuracy() -> None:
    x, directions = _problem(100, 30)
    wanted = lasso_lars(x, directions, l1_weight=0.3)
    found = fista(x.float(), directions.float(), l1_weight=0.3, n_steps=3000)
    assert found.dtype == torch.float32
    # How far codes are off is ill-conditioned; how far the objective is, is not.
    lowest = lasso_objective(x, directions, wanted, l1_weight=0.3)
    reached = lasso_objective(x, directions, found.double(), l1_weight=0.3)
    assert float(((reached - lowest) / lowest).max()) < 1e-5


def test_no_penalty_is_non_negative_least_squares() -> None:
    from scipy.optimize import nnls

    x, directions = _problem(6, 12, n_rows=5)
    wanted = np.stack([nnls(directions.numpy().T, signal)[0] for signal in x.numpy()])
    found = fista(x, directions, l1_weight=0.0, n_steps=5000, tolerance=1e-12)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-8)


@pytest.mark.parametrize("is_non_negative", [True, False])
@pytest.mark.parametrize(("n_features", "d_in"), SHAPES)
def test_one_step_is_the_proximal_gradient_step(n_features: int, d_in: int, is_non_negative: bool) -> None:
    x, directions = _problem(n_features, d_in)
    start = torch.randn(24, n_features, generator=torch.Generator().manual_seed(1)).double()
    start = start.abs() if is_non_negative else start
    rate = 1 / np.linalg.norm(directions.numpy(), 2) ** 2
    moved = start.numpy() - rate * (start.numpy() @ directions.numpy() - x.numpy()) @ directions.numpy().T
    if is_non_negative:
        wanted = np.maximum(moved - rate * 0.2, 0)
    else:
        wanted = np.sign(moved) * np.maximum(np.abs(moved) - rate * 0.2, 0)
    for solve in (ista, fista):
        found = solve(x, directions, l1_weight=0.2, n_steps=1, is_non_negative=is_non_negative, warm_start=start)
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)


def test_the_objective_never_rises_under_ista() -> None:
    x, directions = _problem(16, 8)
    codes = torch.zeros(24, 16).double()
    objectives = []
    for _ in range(30):
        codes = ista(x, directions, l1_weight=0.1, n_steps=1, warm_start=codes)
        objectives.append(lasso_objective(x, directions, codes, l1_weight=0.1))
    assert all(bool((later <= earlier + 1e-12).all()) for earlier, later in itertools.pairwise(objectives))


def test_fista_is_faster_than_ista_and_faster_still_with_restarts() -> None:
    x, directions = _problem(16, 8)
    missed = [
        float(kkt_residual(x, directions, codes, l1_weight=0.05).max())
        for codes in (
            ista(x, directions, l1_weight=0.05, n_steps=400),
            fista(x, directions, l1_weight=0.05, n_steps=400, is_restarted=False),
            fista(x, directions, l1_weight=0.05, n_steps=400),
        )
    ]
    assert missed[0] > 3 * missed[1] > 9 * missed[2]


@pytest.mark.parametrize("tolerance", [None, 1e-7])
@pytest.mark.parametrize(("n_features", "d_in"), SHAPES)
def test_stacked_problems_are_solved_as_if_alone(n_features: int, d_in: int, tolerance: float | None) -> None:
    x, directions = _problem(n_features, d_in, 2, 3)
    for solve in (ista, fista):
        stacked = solve(x, directions, l1_weight=0.3, n_steps=40, tolerance=tolerance)
        assert stacked.shape == (2, 3, 24, n_features)
        for i, j in itertools.product(range(2), range(3)):
            alone = solve(x[i, j], directions[i, j], l1_weight=0.3, n_steps=40)
            torch.testing.assert_close(stacked[i, j], alone, atol=1e-10, rtol=0)


def test_a_warm_start_at_the_optimum_stays_there() -> None:
    x, directions = _problem(16, 8)
    best = fista(x, directions, l1_weight=0.3, n_steps=5000, tolerance=1e-12)
    after = fista(x, directions, l1_weight=0.3, n_steps=10, warm_start=best)
    torch.testing.assert_close(after, best, atol=1e-10, rtol=0)
    assert torch.equal(fista(x, directions, l1_weight=0.3, n_steps=0, warm_start=best - 1), (best - 1).clamp(min=0))


def test_tolerance_stops_early_and_means_what_it_says() -> None:
    x, directions = _problem(16, 8)
    early = fista(x, directions, l1_weight=0.3, n_steps=100_000_000, tolerance=1e-2)
    assert 1e-4 < float(kkt_residual(x, directions, early, l1_weight=0.3).max()) <= 1e-2
    empty = fista(x[:0], directions, l1_weight=0.3, n_steps=100_000_000, tolerance=1e-2)
    assert empty.shape == (0, 16)


def test_the_curvature_is_the_squared_spectral_norm() -> None:
    for n_features, d_in in ((5, 9), (9, 5)):
        _, directions = _problem(n_features, d_in, 3)
        wanted = torch.linalg.matrix_norm(directions, 2).square()
        torch.testing.assert_close(largest_curvature(directions), wanted)
    assert not fista(torch.ones(2, 3), torch.zeros(4, 3), l1_weight=0.1, n_steps=5).any()


def test_errors_name_the_value() -> None:
    x, directions = _problem(16, 8)
    for solve in (ista, fista):
        with pytest.raises(ValueError, match=r"l1_weight = -0.1"):
            solve(x, directions, l1_weight=-0.1, n_steps=5)
        with pytest.raises(ValueError, match="n_steps = -1"):
            solve(x, directions, l1_weight=0.1, n_steps=-1)
        with pytest.raises((WidthMismatchError, TypeError)):
            solve(x[:, :5], directions, l1_weight=0.1, n_steps=1)
