"""Optimised top-k finds planted supports that a cut of the correlations misses, and never does worse than silence."""

from __future__ import annotations

import pytest
import torch

from sae_core.inference.top_k_codes import optimise_top_k, top_k
from sae_core.synthetic import SyntheticConfig, draw_problem

PROBLEM = draw_problem(SyntheticConfig(n_features=24, d_in=16, k=3, n_train=1, n_test=200), seed=0)
X, D = PROBLEM.test_x, PROBLEM.dictionary


def is_exact(codes: torch.Tensor) -> torch.Tensor:
    return ((codes > 0) == (PROBLEM.test_codes > 0)).all(dim=1)


def test_planted_supports_are_found_where_the_largest_correlations_are_not_them() -> None:
    cut = top_k((X @ D.T).clamp(min=0), 3)
    found = optimise_top_k(X, D, k=3, n_steps=400)
    assert float(is_exact(cut).float().mean()) < 0.5
    assert float(is_exact(found).float().mean()) > 0.75
    off = (found - PROBLEM.test_codes)[is_exact(found)].abs().max(dim=1).values
    assert float(off.median()) < 0.02


def test_codes_are_few_not_negative_and_no_worse_than_none() -> None:
    codes = optimise_top_k(X, D, k=2, n_steps=30)
    assert float(codes.min()) >= 0 and int((codes > 0).sum(dim=1).max()) <= 2
    error = (codes @ D - X).square().sum(dim=1)
    assert bool((error <= X.square().sum(dim=1)).all())


def test_stacked_problems_are_solved_as_if_alone() -> None:
    other = draw_problem(SyntheticConfig(n_features=24, d_in=16, k=3, n_train=1, n_test=200), seed=1)
    stacked = optimise_top_k(torch.stack([X, other.test_x]), torch.stack([D, other.dictionary]), k=3, n_steps=20)
    torch.testing.assert_close(stacked[1], optimise_top_k(other.test_x, other.dictionary, k=3, n_steps=20))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="k = 25"):
        optimise_top_k(X, D, k=25, n_steps=1)
    with pytest.raises(ValueError, match="n_steps = 0"):
        optimise_top_k(X, D, k=1, n_steps=0)
