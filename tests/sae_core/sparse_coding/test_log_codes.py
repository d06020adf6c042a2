"""Log-codes follow autograd's descent on the paper's loss, step by step, and recover codes of a known dictionary."""

from __future__ import annotations

import pytest
import torch

from sae_core.inference.proximal import fista
from sae_core.mcc import latent_mcc
from sae_core.sparse_coding.log_codes import fit_log_codes, infer_log_codes
from sae_core.synthetic import SyntheticConfig, draw_problem, stack_problems

CONFIG = SyntheticConfig(n_features=10, d_in=6, k=2, n_train=60, n_test=60)


def test_steps_equal_adam_on_autograds_gradient() -> None:
    """Both parameters, 30 steps, the loss written as in the paper: MSE + 0.01 mean|s|, directions normalised first."""
    x = draw_problem(CONFIG, seed=0).train_x.double()
    found = fit_log_codes(x, n_features=10, n_steps=30, learning_rate=0.1, l1_weight=0.01, seed=4)
    directions = fit_log_codes(x, n_features=10, n_steps=1, learning_rate=1e-12, seed=4).directions.clone()
    log_codes = torch.full((60, 10), -10.0, dtype=torch.float64)
    optimiser = torch.optim.Adam([log_codes.requires_grad_(), directions.requires_grad_()], lr=0.1)
    for _ in range(30):
        with torch.no_grad():
            directions /= directions.norm(dim=1, keepdim=True)
        optimiser.zero_grad()
        codes = log_codes.exp()
        ((codes @ directions - x) ** 2).mean().add(0.01 * codes.abs().mean()).backward()
        optimiser.step()
    norms = directions.norm(dim=1)
    torch.testing.assert_close(found.directions, (directions / norms[:, None]).detach(), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found.codes, (log_codes.exp() * norms).detach(), rtol=1e-6, atol=1e-8)


def test_stacked_problems_do_not_influence_each_other() -> None:
    problems = stack_problems(CONFIG, [0, 1])
    together = infer_log_codes(problems.train_x, problems.dictionary, n_steps=50, learning_rate=0.1)
    for i in range(2):
        alone = infer_log_codes(problems.train_x[i], problems.dictionary[i], n_steps=50, learning_rate=0.1)
        torch.testing.assert_close(together[i], alone)


def test_training_lowers_the_loss_from_nothing() -> None:
    x = draw_problem(CONFIG, seed=0).train_x
    fit = fit_log_codes(x, n_features=10, n_steps=400, learning_rate=0.05)
    assert float((fit.codes @ fit.directions - x).square().mean()) < 0.1 * float(x.square().mean())
    torch.testing.assert_close(fit.directions.norm(dim=1), torch.ones(10))
    assert bool((fit.codes > 0).all())


def test_codes_of_a_known_dictionary_come_near_the_lassos() -> None:
    """mean (x - zD)^2 + w mean z is the lasso at l1 = w d_in / (2 n_features)."""
    problem = draw_problem(CONFIG, seed=0)
    codes = infer_log_codes(problem.test_x, problem.dictionary, n_steps=3000, learning_rate=0.03)
    lasso = fista(problem.test_x, problem.dictionary, l1_weight=0.01 * 6 / 20, n_steps=2000)
    assert latent_mcc(lasso, codes).mean > 0.97
    assert latent_mcc(problem.test_codes, codes).mean > 0.97


def test_numbers_out_of_range_are_errors() -> None:
    with pytest.raises(ValueError, match="n_steps = 0"):
        fit_log_codes(torch.ones(3, 2), n_features=2, n_steps=0)
    with pytest.raises(ValueError, match="n_features = 0"):
        fit_log_codes(torch.ones(3, 2), n_features=0)
