"""scikit-learn's fit minimises the objective that ours does, and takes the best of its restarts."""

from __future__ import annotations

import pytest
import torch

from sae_core.mcc import dictionary_mcc
from sae_core.sparse_coding.alternating import lasso_objective
from sae_core.sparse_coding.reference import fit_reference
from sae_core.sparse_coding.restarts import RestartConfig, fit_with_restarts
from sae_core.synthetic import SyntheticConfig, draw_problem

PROBLEM = draw_problem(SyntheticConfig(n_features=6, d_in=5, k=2, n_train=80, n_test=1), seed=0)


@pytest.mark.parametrize("is_non_negative", [True, False])
def test_more_restarts_are_never_worse_and_unit_norms_hold(is_non_negative: bool) -> None:
    objectives = []
    for n_restarts in (1, 3):
        fit = fit_reference(
            PROBLEM.train_x, n_features=6, n_restarts=n_restarts, max_iter=30, is_non_negative=is_non_negative
        )
        torch.testing.assert_close(fit.directions.norm(dim=1), torch.ones(6))
        objectives.append(float(lasso_objective(PROBLEM.train_x, fit, l1_weight=0.05)))
    assert objectives[1] <= objectives[0] * (1 + 1e-3)
    assert bool((fit.codes < 0).any()) != is_non_negative


def test_ours_and_scikit_learns_find_the_same_dictionary() -> None:
    reference = fit_reference(PROBLEM.train_x, n_features=6, n_restarts=4, max_iter=200, l1_weight=0.05)
    unit = float(PROBLEM.train_x.norm(dim=1).mean())
    config = RestartConfig(n_features=6, l1_final=0.05 / unit)
    ours = fit_with_restarts(PROBLEM.train_x, config, seed=0)
    assert dictionary_mcc(reference.directions, ours.directions).mean > 0.995


def test_no_restarts_is_an_error() -> None:
    with pytest.raises(ValueError, match="n_restarts = 0"):
        fit_reference(PROBLEM.train_x, n_features=6, n_restarts=0)
