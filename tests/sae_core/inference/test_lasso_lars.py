"""The LARS reference is the stated objective's optimum, by a brute force over active sets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn import decomposition

from sae_core.inference.lasso_lars import lasso_lars


@pytest.mark.parametrize("is_non_negative", [True, False])
def test_it_is_the_best_over_all_active_sets_and_signs(is_non_negative: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(5, 3, generator=draw).double(), dim=1)
    x = torch.randn(6, 3, generator=draw).double()
    found = lasso_lars(x, directions, l1_weight=0.25, is_non_negative=is_non_negative)
    signs = (0, 1) if is_non_negative else (-1, 0, 1)
    for signal, codes in zip(x.numpy(), found.numpy(), strict=True):
        objectives = [0.5 * signal @ signal]
        for pattern in itertools.product(signs, repeat=5):
            sign = np.array(pattern, dtype=float)
            active = sign != 0
            if not 1 <= active.sum() <= 3:
                continue
            atoms = directions.numpy()[active]
            values = np.linalg.solve(atoms @ atoms.T, atoms @ signal - 0.25 * sign[active])
            if (values * sign[active] >= 0).all():
                error = signal - values @ atoms
                objectives.append(0.5 * error @ error + 0.25 * np.abs(values).sum())
        error = signal - codes @ directions.numpy()
        assert 0.5 * error @ error + 0.25 * np.abs(codes).sum() == pytest.approx(min(objectives), abs=1e-9)


def test_ties_do_not_mislead_it() -> None:
    # Equal correlations everywhere: scikit-learn's path alone ends at (2.75, 1.75, 0.75).
    x, directions = torch.ones(2, 3), torch.eye(3)
    torch.testing.assert_close(lasso_lars(x, directions, l1_weight=0.25), torch.full((2, 3), 0.75))


def test_a_path_cut_short_is_finished() -> None:
    draw = torch.Generator().manual_seed(1)
    directions = torch.nn.functional.normalize(torch.randn(12, 6, generator=draw).double(), dim=1)
    x = torch.randn(5, 6, generator=draw).double()
    whole = lasso_lars(x, directions, l1_weight=0.05)
    torch.testing.assert_close(lasso_lars(x, directions, l1_weight=0.05, n_steps=1), whole, atol=1e-6, rtol=0)


def test_codes_that_round_below_0_are_0(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = decomposition.sparse_encode

    def rounding(*arguments, **options):
        codes = encode(*arguments, **options)
        return np.where(codes == 0, -5.9e-19, codes)

    monkeypatch.setattr(decomposition, "sparse_encode", rounding)
    draw = torch.Generator().manual_seed(2)
    x = torch.randn(5, 6, generator=draw).double()
    directions = torch.nn.functional.normalize(torch.randn(12, 6, generator=draw).double(), dim=1)
    found = lasso_lars(x, directions, l1_weight=0.3)
    assert bool((found >= 0).all()) and bool((found == 0).any())


def test_errors_name_the_value() -> None:
    x, directions = torch.ones(2, 3), torch.eye(3)
    with pytest.raises(ValueError, match=r"l1_weight = -0.5"):
        lasso_lars(x, directions, l1_weight=-0.5)
