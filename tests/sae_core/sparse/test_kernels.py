"""Sparse gradients equal dense ones, in float64, over shapes, sparsities and empty features."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.sparse import selection as selection_rules
from sae_core.sparse.kernels import (
    Selection,
    attach_encoder,
    decode_selected,
    fired_features,
)
from sae_core.sparse.selection import select_positive, select_top_k


def _draw(n_rows: int, width: int, n_features: int, d_in: int, seed: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shapes = [(n_rows, width), (n_features, width), (n_features,), (n_features, d_in)]
    return [torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_() for shape in shapes]


@settings(max_examples=40, deadline=None)
@given(
    n_rows=st.integers(1, 23),
    width=st.integers(1, 9),
    n_features=st.integers(1, 17),
    k=st.integers(1, 17),
    shift=st.floats(-3, 1),
    is_top_k=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_gradients_equal_dense_autograd(
    n_rows: int, width: int, n_features: int, k: int, shift: float, is_top_k: bool, seed: int
) -> None:
    parameters = _draw(n_rows, width, n_features, 5, seed)
    hidden, weight, bias, decoder = parameters
    biased = bias + shift
    pre = hidden @ weight.T + biased
    if is_top_k:
        k = min(k, n_features)
        selected, selection = select_top_k(hidden, weight, biased, k=k)
        code = torch.relu(pre * torch.zeros_like(pre).scatter(1, pre.topk(k, dim=1).indices, 1.0))
    else:
        selected, selection = select_positive(hidden, weight, biased)
        code = torch.relu(pre)
    values = torch.relu(attach_encoder(selected, selection, hidden=hidden, weight=weight, bias=biased))
    found = decode_selected(values, selection, decoder=decoder)
    wanted = code @ decoder
    torch.testing.assert_close(found, wanted)
    target = torch.linspace(-1, 1, wanted.numel(), dtype=torch.float64).view_as(wanted)
    found_loss = (found - target).square().sum() + 0.3 * values.sum()
    wanted_loss = (wanted - target).square().sum() + 0.3 * code.sum()
    for left, right in zip(
        torch.autograd.grad(found_loss, parameters), torch.autograd.grad(wanted_loss, parameters), strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-10)
    assert torch.equal(fired_features(selected, selection), (code > 0).any(dim=0))


def test_rows_split_into_chunks_give_the_same_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, bias, _ = _draw(50, 6, 11, 5, seed=1)
    whole = [select_top_k(hidden, weight, bias, k=3), select_positive(hidden, weight, bias)]
    monkeypatch.setattr(selection_rules, "ROWS_PER_CHUNK", 7)
    pieces = [select_top_k(hidden, weight, bias, k=3), select_positive(hidden, weight, bias)]
    for (values, selection), (other_values, other) in zip(whole, pieces, strict=True):
        torch.testing.assert_close(
            selection.sum_rows(torch.eye(11, dtype=torch.float64), values),
            other.sum_rows(torch.eye(11, dtype=torch.float64), other_values),
        )


def test_a_feature_listed_twice_in_a_row_counts_twice() -> None:
    selection = Selection(
        columns=torch.tensor([2, 2, 0]),
        rows=torch.tensor([0, 0, 1]),
        row_starts=torch.tensor([0, 2]),
        n_features=4,
    )
    values = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64, requires_grad=True)
    decoder = torch.arange(8, dtype=torch.float64).view(4, 2).requires_grad_()
    reconstruction = decode_selected(values, selection, decoder=decoder)
    assert reconstruction.tolist() == [[12.0, 15.0], [0.0, 5.0]]
    (to_decoder,) = torch.autograd.grad(reconstruction.sum(), decoder)
    assert to_decoder[:, 0].tolist() == [5.0, 0.0, 3.0, 0.0]
