"""Masks and positions are those of torch's own comparisons, whatever the shape, the memory and the type."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.positions import is_above, is_nonzero, true_positions

X = torch.randn(30, 8, generator=torch.Generator().manual_seed(0)).relu()
X[3, 2] = float("nan")
X[4, 2] = -0.0


@settings(max_examples=30, deadline=None)
@given(n=st.integers(0, 200), share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_true_positions(n: int, share: float, seed: int) -> None:
    mask = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < share
    assert true_positions(mask).tolist() == [place for place, is_true in enumerate(mask.tolist()) if is_true]
    assert true_positions(mask[1:]).tolist() == mask[1:].nonzero()[:, 0].tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_comparisons(dtype: torch.dtype) -> None:
    x = X.to(dtype)
    for values in (x, x.T, x[::3], x[:0], x.clone().requires_grad_(True)):
        assert torch.equal(is_nonzero(values), values != 0)
        for limit in (torch.zeros((), dtype=dtype), torch.linspace(-1, 1, values.shape[1], dtype=dtype)):
            assert torch.equal(is_above(values, limit), values > limit)
