"""Scores against numpy; the two forms of the lasso have one optimum."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sae_core.inference.proximal import fista
from synthetic_studies.problems import draw_problems
from synthetic_studies.scoring import code_correlations, code_costs, code_scores, lasso_weight, log_steps


def test_correlations_are_numpys_and_silent_codes_count_as_zero() -> None:
    draw = torch.Generator().manual_seed(0)
    true, found = (torch.randn(2, 30, 4, generator=draw, dtype=torch.float64) for _ in range(2))
    found[1, :, 2] = 0.0
    for problem, value in enumerate(code_correlations(true, found)):
        r = [np.corrcoef(true[problem, :, j], found[problem, :, j])[0, 1] for j in range(4) if (problem, j) != (1, 2)]
        assert value == pytest.approx(sum(r) / 4)


def test_scores_are_one_per_problem_whatever_the_order_of_features() -> None:
    codes = torch.relu(torch.randn(2, 50, 5, generator=torch.Generator().manual_seed(0)))
    assert code_scores(codes, 3 * codes[:, :, [4, 2, 0, 1, 3]]) == pytest.approx([1.0, 1.0])


def test_costs_leave_out_what_is_next_to_zero() -> None:
    codes = torch.tensor([[[1.0, 1e-5, 0.5]]])
    [cost] = code_costs(torch.zeros(1, 1, 3), codes, torch.eye(3)[None])
    assert (cost.l0, cost.l1) == (2.0, 1.5)


def test_lasso_weight_makes_the_papers_loss_and_the_lasso_agree() -> None:
    problem = draw_problems("fresh", n_problems=1, n_samples=20)
    x, directions = problem.test_x[0].double(), problem.dictionary[0].double()
    weight = lasso_weight(0.3, n_features=16, d_in=8)
    codes = fista(x, directions, l1_weight=weight, n_steps=5_000, tolerance=1e-12)

    def paper_loss(z: torch.Tensor) -> torch.Tensor:
        return (x - z @ directions).square().mean() + 0.3 * z.abs().mean()

    best = float(paper_loss(codes))
    draw = torch.Generator().manual_seed(0)
    for scale in (1e-1, 1e-2, 1e-3):
        for _ in range(20):
            step = scale * torch.randn(codes.shape, generator=draw, dtype=torch.float64)
            assert float(paper_loss((codes + step).clamp(min=0))) > best
    assert float(paper_loss(codes * 0.99)) > best and float(paper_loss(codes * 1.01)) > best


@pytest.mark.parametrize("n_steps", [1, 7, 20_000])
def test_log_steps_rise_to_the_last(n_steps: int) -> None:
    steps = log_steps(n_steps)
    assert steps == sorted(set(steps)) and steps[-1] == n_steps and steps[0] == min(10, n_steps)
    assert len(steps) <= 24
