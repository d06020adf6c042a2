"""Each half of a turn solves its half; together they lower the objective, and stacked problems stay apart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.sparse_coding.alternating import (
    CodedDictionary,
    alternate,
    draw_samples,
    lasso_objective,
    sample_objectives,
    update_directions,
)
from sae_core.synthetic import SyntheticConfig, draw_problem, stack_problems

CONFIG = SyntheticConfig(n_features=10, d_in=6, k=2, n_train=200, n_test=1)


def _start(seed: int = 0, *problem: int) -> torch.Tensor:
    shape = (*problem, CONFIG.n_features, CONFIG.d_in)
    return torch.nn.functional.normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@given(st.integers(1, 8), st.integers(1, 6), st.integers(1, 30), st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_dictionary_update_is_the_least_squares_of_the_stacked_system(
    n_features: int, d_in: int, n_rows: int, seed: int
) -> None:
    """Ridge regression towards the old directions is plain least squares with rows added; numpy solves that."""
    draw = torch.Generator().manual_seed(seed)
    x, codes, old = (
        torch.randn(shape, generator=draw, dtype=torch.float64)
        for shape in ((n_rows, d_in), (n_rows, n_features), (n_features, d_in))
    )
    weight = (0.1 * codes.square().sum(dim=0).mean()).sqrt()
    system = torch.cat([codes, weight * torch.eye(n_features, dtype=torch.float64)])
    wanted = np.linalg.lstsq(system.numpy(), torch.cat([x, weight * old]).numpy(), rcond=None)[0]
    np.testing.assert_allclose(update_directions(x, codes, old, ridge=0.1), wanted, rtol=1e-7, atol=1e-8)


def test_a_direction_without_codes_stays_where_it_was() -> None:
    problem, old = draw_problem(CONFIG, seed=0), _start()
    codes = problem.train_codes.clone()
    codes[:, 3] = 0
    torch.testing.assert_close(update_directions(problem.train_x, codes, old)[3], old[3])


def test_objective_is_the_lassos() -> None:
    problem = draw_problem(CONFIG, seed=0)
    fit = CodedDictionary(_start(), problem.train_codes)
    x, codes, directions = (tensor.double().numpy() for tensor in (problem.train_x, fit.codes, fit.directions))
    wanted = (0.5 * ((x - codes @ directions) ** 2).sum(axis=1) + 0.3 * np.abs(codes).sum(axis=1)).mean()
    assert float(lasso_objective(problem.train_x, fit, l1_weight=0.3)) == pytest.approx(wanted, rel=1e-5)
    assert float(sample_objectives(problem.train_x, fit, l1_weight=0.3).mean()) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("is_non_negative", [True, False])
def test_turns_lower_the_objective_and_keep_unit_norms(is_non_negative: bool) -> None:
    problem = draw_problem(CONFIG, seed=1)
    objectives = []
    fit = CodedDictionary(_start(), torch.zeros(200, 10))
    for _ in range(8):
        fit = alternate(
            problem.train_x,
            fit.directions,
            l1_weights=[0.1] * 5,
            n_code_steps=20,
            codes=fit.codes,
            is_non_negative=is_non_negative,
        )
        torch.testing.assert_close(fit.directions.norm(dim=-1), torch.ones(10))
        objectives.append(float(lasso_objective(problem.train_x, fit, l1_weight=0.1)))
    # Giving directions norm 1 again may cost a little; near the optimum that shows.
    assert all(after < before * (1 + 5e-3) for before, after in pairwise(objectives))
    assert objectives[-1] < 0.9 * objectives[0]
    assert bool((fit.codes < 0).any()) != is_non_negative


def test_a_start_at_the_truth_stays_there() -> None:
    problem = draw_problem(CONFIG, seed=2)
    fit = alternate(problem.train_x, problem.dictionary, l1_weights=[1e-3] * 20, n_code_steps=30)
    assert float((fit.directions * problem.dictionary).sum(dim=1).min()) > 0.99


def test_stacked_problems_do_not_influence_each_other() -> None:
    problems, starts = stack_problems(CONFIG, [0, 1]), _start(5, 2)
    together = alternate(problems.train_x, starts, l1_weights=[0.2, 0.1, 0.05])
    for i in range(2):
        alone = alternate(problems.train_x[i], starts[i], l1_weights=[0.2, 0.1, 0.05])
        torch.testing.assert_close(together.directions[i], alone.directions, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.codes[i], alone.codes, rtol=1e-4, atol=1e-5)


def test_dead_directions_are_revived_at_badly_reconstructed_samples() -> None:
    draw = torch.Generator().manual_seed(3)
    dictionary = torch.nn.functional.normalize(torch.rand(10, 6, generator=draw), dim=1)
    x = draw_problem(CONFIG, seed=3).train_codes @ dictionary
    start = dictionary.clone()
    start[[4, 7]] = -start[[4, 7]]  # samples have no negative coordinate, so these two are of no use
    left = alternate(x, start, l1_weights=[0.1] * 40)
    revived = alternate(x, start, l1_weights=[0.1] * 40, revival=torch.Generator().manual_seed(0))
    assert (left.codes > 0).sum(dim=0)[[4, 7]].tolist() == [0, 0]
    # Where they went is a matter of luck; that they are used is not.
    assert int((revived.codes > 0).sum(dim=0)[[4, 7]].min()) > 5


def test_samples_are_drawn_by_weight_within_their_problem() -> None:
    x = torch.arange(1.0, 13.0).reshape(2, 3, 2)
    weights = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 3.0]])
    drawn = draw_samples(x, weights, n_drawn=400, draw=torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn[0], torch.nn.functional.normalize(x[0, 1], dim=0).expand(400, 2))
    is_last = (drawn[1] - torch.nn.functional.normalize(x[1, 2], dim=0)).norm(dim=1) < 1e-6
    assert float(is_last.double().mean()) == pytest.approx(0.75, abs=0.08)


def test_no_turns_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"l1_weights = \(\)"):
        alternate(torch.ones(3, 2), torch.eye(2), l1_weights=[])
