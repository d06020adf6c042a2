"""The blockwise ReLU pass equals dense autograd in every gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.sparse import rectified
from sae_core.sparse.rectified import rectify_and_decode


@settings(max_examples=30, deadline=None)
@given(
    n_rows=st.integers(1, 23),
    width=st.integers(1, 9),
    n_features=st.integers(1, 17),
    rows_per_block=st.integers(1, 25),
    uses_sums=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_equals_dense_autograd(
    n_rows: int, width: int, n_features: int, rows_per_block: int, uses_sums: bool, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    shapes = [(n_rows, width), (n_features, width), (n_features,), (n_features, 5)]
    leaves = [torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_() for shape in shapes]
    hidden, weight, bias, decoder = leaves
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rectified, "ROWS_PER_BLOCK", rows_per_block)
        found = rectify_and_decode(hidden, weight, bias, decoder=decoder)
        slope = torch.linspace(-1, 1, n_features, dtype=torch.float64) * uses_sums
        loss = found.reconstruction.square().sum()
        loss = loss + (slope * found.code_sums).sum() if uses_sums else loss
        found_gradients = torch.autograd.grad(loss, leaves)
    code = torch.relu(hidden @ weight.T + bias)
    torch.testing.assert_close(found.reconstruction, code @ decoder)
    torch.testing.assert_close(found.code_sums, code.sum(dim=0))
    assert int(found.n_active) == int((code > 0).sum())
    wanted = torch.autograd.grad((code @ decoder).square().sum() + (slope * code.sum(dim=0)).sum(), leaves)
    for left, right in zip(found_gradients, wanted, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-11)


def test_only_the_sums_may_carry_gradient() -> None:
    hidden, weight = torch.ones(3, 2), torch.tensor([[1.0, 1.0], [-1.0, 0.0]]).requires_grad_()
    found = rectify_and_decode(hidden, weight, torch.zeros(2), decoder=torch.ones(2, 4))
    found.code_sums.sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[3.0, 3.0], [0.0, 0.0]]


def test_an_empty_batch_has_gradients_of_zero() -> None:
    weight = torch.ones(4, 2, requires_grad=True)
    found = rectify_and_decode(torch.ones(0, 2), weight, torch.zeros(4), decoder=torch.ones(4, 3))
    assert found.reconstruction.shape == (0, 3) and float(found.n_active) == 0
    found.code_sums.sum().backward()
    assert weight.grad is not None and not weight.grad.any()
