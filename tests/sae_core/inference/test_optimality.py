"""KKT residual and duality gap are 0 at the optimum, bound the distance from it, and see each way of missing it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.inference.lasso_lars import lasso_lars
from sae_core.inference.optimality import duality_gap, kkt_residual, lasso_objective

DRAW = torch.Generator().manual_seed(0)
DIRECTIONS = torch.nn.functional.normalize(torch.randn(20, 8, generator=DRAW).double(), dim=1)
X = torch.randn(12, 8, generator=DRAW).double()


def test_the_objective_is_the_stated_one() -> None:
    codes = torch.randn(12, 20, generator=torch.Generator().manual_seed(1)).double()
    wanted = []
    for x, z in zip(X, codes, strict=True):
        error = x - z @ DIRECTIONS
        wanted.append(0.5 * float(error @ error) + 0.7 * float(z.abs().sum()))
    found = lasso_objective(X, DIRECTIONS, codes, l1_weight=0.7)
    torch.testing.assert_close(found, torch.tensor(wanted).double())


@pytest.mark.parametrize("is_non_negative", [True, False])
def test_both_are_zero_at_the_optimum(is_non_negative: bool) -> None:
    best = lasso_lars(X, DIRECTIONS, l1_weight=0.2, is_non_negative=is_non_negative)
    options = {"l1_weight": 0.2, "is_non_negative": is_non_negative}
    assert float(kkt_residual(X, DIRECTIONS, best, **options).max()) < 1e-12
    assert float(duality_gap(X, DIRECTIONS, best, **options).abs().max()) < 1e-12


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), is_non_negative=st.booleans(), scale=st.sampled_from([0.0, 0.01, 1.0]))
def test_the_gap_bounds_how_far_the_objective_is_above_its_minimum(
    seed: int, is_non_negative: bool, scale: float
) -> None:
    best = lasso_lars(X, DIRECTIONS, l1_weight=0.2, is_non_negative=is_non_negative)
    noise = scale * torch.randn(12, 20, generator=torch.Generator().manual_seed(seed)).double()
    codes = (best + noise).clamp(min=0) if is_non_negative else best + noise
    excess = lasso_objective(X, DIRECTIONS, codes, l1_weight=0.2) - lasso_objective(X, DIRECTIONS, best, l1_weight=0.2)
    gap = duality_gap(X, DIRECTIONS, codes, l1_weight=0.2, is_non_negative=is_non_negative)
    assert bool((gap >= excess - 1e-12).all())
    assert bool((gap <= 1e3 * (excess + excess.sqrt() + 1e-6)).all())


def test_each_broken_condition_is_seen() -> None:
    directions = torch.eye(2).double()
    x = torch.tensor([[1.0, -1.0]]).double()
    # The optimum over codes of 0 or more is (0.8, 0); over all codes (0.8, -0.8).
    cases = {
        (0.8, 0.0): (0.0, 0.8),
        (0.8, -0.8): (None, 0.0),
        (0.5, 0.0): (0.3, 0.8),
        (0.8, 0.1): (0.1, 0.9),
        (0.0, 0.0): (0.8, 0.8),
    }
    for codes, (positive, signed) in cases.items():
        z = torch.tensor([codes], dtype=torch.float64)
        if positive is not None:
            assert float(kkt_residual(x, directions, z, l1_weight=0.2)) == pytest.approx(positive)
        found = kkt_residual(x, directions, z, l1_weight=0.2, is_non_negative=False)
        assert float(found) == pytest.approx(signed)


def test_stacked_problems_have_their_own_values() -> None:
    x, directions = X.reshape(2, 6, 8), torch.stack([DIRECTIONS, DIRECTIONS.flip(0)])
    codes = torch.rand(2, 6, 20, generator=torch.Generator().manual_seed(2)).double()
    for measure in (kkt_residual, duality_gap):
        stacked = measure(x, directions, codes, l1_weight=0.2)
        for i in range(2):
            torch.testing.assert_close(stacked[i], measure(x[i], directions[i], codes[i], l1_weight=0.2))
