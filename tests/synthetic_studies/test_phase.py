"""The phase curve's rates are scikit-learn's on the same samples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import orthogonal_mp

from sae_core.synthetic import SyntheticConfig, draw_problem
from synthetic_studies.phase import STUDY, PhaseSettings
from synthetic_studies.study import Cell


def test_exact_rates_are_those_of_scikit_learn() -> None:
    settings = PhaseSettings(n_seeds=2, n_samples=200, ratios=(1.0, 2.0))
    rows = STUDY.run(Cell("one", {"n_features": 64, "k": 4}), settings, lambda fraction: None)
    assert len(rows) == 4
    for row in rows:
        config = SyntheticConfig(n_features=64, d_in=row["d_in"], k=4, n_train=1, n_test=200)
        problem = draw_problem(config, seed=row["seed"])
        dictionary, codes = problem.dictionary.double().numpy(), problem.test_codes.double().numpy()
        found = orthogonal_mp(dictionary.T, (codes @ dictionary).T, n_nonzero_coefs=4).T
        is_exact = ((np.abs(found) > 1e-10) == (codes != 0)).all(axis=1)
        assert row["exact"] == pytest.approx(is_exact.mean())
    assert {row["ratio"]: row["exact"] for row in rows}[1.0] < 0.8
