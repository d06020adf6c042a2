"""The rules choose what their definitions say, whatever the block size, and hand back float32 under autocast."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.sparse import selection as rules
from sae_core.sparse.kernels import Selection
from sae_core.sparse.selection import (
    fraction_above,
    is_selection_worthwhile,
    padded_code,
    select_above,
    select_batch_top_k,
    select_positive,
    select_top_k,
    select_top_k_by_magnitude,
)


def _draw(n_rows: int, width: int, n_features: int, seed: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shapes = [(n_rows, width), (n_features, width), (n_features,)]
    return [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes]


def _dense(values: torch.Tensor, selection: Selection, n_rows: int) -> torch.Tensor:
    """The selected entries in a matrix; also checks that they are in row order and each there once."""
    dense = torch.zeros(n_rows, selection.n_features, dtype=values.dtype)
    entries = selection.rows * selection.n_features + selection.columns
    assert len(set(entries.tolist())) == len(entries)
    assert torch.equal(selection.rows, selection.rows.sort().values)
    assert torch.equal(selection.row_starts, torch.searchsorted(selection.rows, torch.arange(n_rows)))
    return dense.view(-1).index_put((entries,), values).view(n_rows, -1)


@settings(max_examples=60, deadline=None)
@given(
    n_rows=st.integers(1, 30),
    width=st.integers(1, 6),
    n_features=st.integers(1, 15),
    k=st.integers(1, 15),
    shift=st.floats(-4, 2),
    chunk=st.integers(1, 31),
    seed=st.integers(0, 10_000),
)
def test_rules_equal_their_dense_definitions(
    n_rows: int, width: int, n_features: int, k: int, shift: float, chunk: int, seed: int
) -> None:
    hidden, weight, bias = _draw(n_rows, width, n_features, seed)
    bias, k = bias + shift, min(k, n_features)
    pre = hidden @ weight.T + bias
    floor = torch.randn(n_features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "ROWS_PER_CHUNK", chunk)
        above = _dense(*select_above(hidden, weight, bias, floor=floor), n_rows)
        positive = _dense(*select_positive(hidden, weight, bias), n_rows)
        largest = _dense(*select_top_k(hidden, weight, bias, k=k), n_rows)
        strongest = _dense(*select_top_k_by_magnitude(hidden, weight, bias, k=k), n_rows)
        of_batch = _dense(*select_batch_top_k(hidden, weight, bias, k=k), n_rows)
        on_gpu = _dense(*rules._select_batch_top_k_at_once(hidden, weight, bias, n_wanted=k * n_rows), n_rows)
    kept = torch.zeros_like(pre).scatter(1, pre.topk(k, dim=1).indices, 1)
    kept_by_size = torch.zeros_like(pre).scatter(1, pre.abs().topk(k, dim=1).indices, 1)
    kept_of_batch = torch.zeros_like(pre).view(-1).scatter(0, pre.view(-1).topk(k * n_rows).indices, 1).view_as(pre)
    torch.testing.assert_close(above, pre * (pre > floor))
    torch.testing.assert_close(positive, pre.clamp_min(0))
    torch.testing.assert_close(largest, pre * kept)
    torch.testing.assert_close(strongest, pre * kept_by_size)
    torch.testing.assert_close(of_batch, (pre * kept_of_batch).clamp_min(0))
    torch.testing.assert_close(on_gpu, pre * kept_of_batch)


def test_batch_rule_is_exact_where_the_probed_rows_mislead() -> None:
    # 256 rows, of which every fourth is probed: those are large, so that the first floor lets too little through.
    hidden = torch.ones(256, 1)
    hidden[::4] = 100.0
    weight, bias = torch.linspace(0.1, 1, 10)[:, None], torch.zeros(10)
    values, selection = select_batch_top_k(hidden, weight, bias, k=4)
    pre = hidden @ weight.T
    assert values.numel() == 4 * 256
    torch.testing.assert_close(values.sort().values, pre.view(-1).topk(4 * 256).values.sort().values)
    torch.testing.assert_close(_dense(values, selection, 256)[::4], pre[::4])


def test_batch_rule_leaves_out_what_is_not_positive() -> None:
    hidden = torch.tensor([[1.0], [-1.0]])
    values, selection = select_batch_top_k(hidden, torch.tensor([[1.0], [2.0], [-3.0]]), torch.zeros(3), k=2)
    assert values.tolist() == [1.0, 2.0, 3.0]
    assert (selection.rows.tolist(), selection.columns.tolist()) == ([0, 0, 1], [0, 1, 2])


def test_padded_code_holds_the_selected_values_row_by_row() -> None:
    selection = Selection(
        columns=torch.tensor([4, 1, 0]),
        rows=torch.tensor([0, 0, 2]),
        row_starts=torch.tensor([0, 2, 2]),
        n_features=5,
    )
    code = padded_code(torch.tensor([1.0, -2.0, 3.0]), selection)
    assert code.values.tolist() == [[1, -2], [0, 0], [3, 0]]
    assert code.to_dense(5).tolist() == [[0, -2, 0, 0, 1], [0, 0, 0, 0, 0], [3, 0, 0, 0, 0]]
    nothing = Selection(
        columns=torch.zeros(0, dtype=torch.int64),
        rows=torch.zeros(0, dtype=torch.int64),
        row_starts=torch.zeros(2, dtype=torch.int64),
        n_features=5,
    )
    assert padded_code(torch.zeros(0), nothing).values.tolist() == [[0], [0]]


def test_selecting_pays_below_a_share_of_active_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, bias = _draw(500, 6, 15, 0)
    floor = torch.zeros(1, dtype=torch.float64)
    share = float((hidden @ weight.T + bias > 0).double().mean())
    assert fraction_above(hidden, weight, bias, floor=floor) == pytest.approx(share, abs=0.1)
    assert not is_selection_worthwhile(hidden, weight, bias, floor=floor)
    assert is_selection_worthwhile(hidden, weight, bias - 20, floor=floor)
    assert not is_selection_worthwhile(hidden[:0], weight, bias - 20, floor=floor)


def test_values_are_float32_under_autocast() -> None:
    hidden, weight, bias = (tensor.float() for tensor in _draw(20, 6, 15, 0))
    with torch.autocast("cpu", torch.bfloat16):
        for values, _ in (
            select_top_k(hidden, weight, bias, k=3),
            select_top_k_by_magnitude(hidden, weight, bias, k=3),
            select_batch_top_k(hidden, weight, bias, k=3),
            select_positive(hidden, weight, bias),
        ):
            assert values.dtype == torch.float32
