"""Adam on codes equals autograd with torch's Adam, gets near the lasso's optimum, and solves stacked problems."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from sae_core.inference.adam_codes import SMALLEST_CODE, adam_codes
from sae_core.inference.lasso_lars import lasso_lars
from sae_core.inference.optimality import lasso_objective

Parametrisation = Literal["relu", "exp"]
BOTH: list[Parametrisation] = ["relu", "exp"]


def _problem(n_features: int, d_in: int, *problems: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(n_features)
    directions = torch.randn(*problems, n_features, d_in, generator=draw).double()
    x = torch.randn(*problems, 10, d_in, generator=draw).double()
    return x, torch.nn.functional.normalize(directions, dim=-1)


@pytest.mark.parametrize("parametrisation", BOTH)
@pytest.mark.parametrize(("n_features", "d_in"), [(16, 8), (30, 8)])
def test_it_is_adam_on_the_stated_objective(parametrisation: Parametrisation, n_features: int, d_in: int) -> None:
    x, directions = _problem(n_features, d_in)
    start = torch.rand(10, n_features, generator=torch.Generator().manual_seed(1)).double() + 0.05
    parameter = (start.log() if parametrisation == "exp" else start.clone()).requires_grad_()
    adam = torch.optim.Adam([parameter], lr=0.01)
    for _ in range(50):
        adam.zero_grad()
        codes = parameter.exp() if parametrisation == "exp" else parameter.relu()
        (0.5 * (x - codes @ directions).square().sum() + 0.1 * codes.sum()).backward()
        adam.step()
    wanted = parameter.exp() if parametrisation == "exp" else parameter.relu()
    found = adam_codes(
        x,
        directions,
        l1_weight=0.1,
        n_steps=50,
        learning_rate=0.01,
        warm_start=start,
        parametrisation=parametrisation,
    )
    torch.testing.assert_close(found, wanted.detach(), atol=1e-9, rtol=0)


@pytest.mark.parametrize("parametrisation", BOTH)
def test_stacked_problems_are_solved_as_if_alone(parametrisation: Parametrisation) -> None:
    x, directions = _problem(16, 8, 3)
    stacked = adam_codes(x, directions, l1_weight=0.1, n_steps=30, learning_rate=0.01, parametrisation=parametrisation)
    for i in range(3):
        alone = adam_codes(
            x[i], directions[i], l1_weight=0.1, n_steps=30, learning_rate=0.01, parametrisation=parametrisation
        )
        torch.testing.assert_close(stacked[i], alone, atol=1e-10, rtol=0)


def test_log_codes_come_near_the_optimum() -> None:
    x, directions = _problem(16, 8)
    best = lasso_objective(x, directions, lasso_lars(x, directions, l1_weight=0.3), l1_weight=0.3)
    codes = adam_codes(x, directions, l1_weight=0.3, n_steps=4000, learning_rate=0.02, parametrisation="exp")
    reached = lasso_objective(x, directions, codes, l1_weight=0.3)
    assert float(((reached - best) / best).max()) < 1e-3


def test_a_silent_code_of_a_warm_start_can_join() -> None:
    directions = torch.eye(2)
    x = torch.tensor([[1.0, -1.0]])
    codes = adam_codes(x, directions, l1_weight=0.1, n_steps=500, learning_rate=0.01, warm_start=torch.zeros(1, 2))
    torch.testing.assert_close(codes, torch.tensor([[0.9, 0.0]]), atol=1e-3, rtol=0)
    frozen = adam_codes(
        x, directions, l1_weight=0.1, n_steps=0, learning_rate=0.01, warm_start=torch.zeros(1, 2), parametrisation="exp"
    )
    torch.testing.assert_close(frozen, torch.full((1, 2), SMALLEST_CODE))


def test_a_warm_start_is_not_changed() -> None:
    x, directions = _problem(16, 8)
    start = torch.rand(10, 16).double()
    before = start.clone()
    adam_codes(x, directions, l1_weight=0.1, n_steps=5, learning_rate=0.1, warm_start=start)
    assert torch.equal(start, before)


def test_errors_name_the_value() -> None:
    x, directions = _problem(16, 8)
    with pytest.raises(ValueError, match="learning_rate = 0"):
        adam_codes(x, directions, l1_weight=0.1, n_steps=5, learning_rate=0.0)
    with pytest.raises(ValueError, match=r"l1_weight = -1"):
        adam_codes(x, directions, l1_weight=-1.0, n_steps=5, learning_rate=0.1)
