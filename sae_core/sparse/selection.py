"""The encoders' selection rules, in blocks of rows, without gradient or dense [batch, n_features] matrix."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.device import is_on_host
from sae_core.dictionary import SparseCode
from sae_core.positions import is_above, true_positions
from sae_core.sparse.kernels import Selection
from sae_core.sparse.screening import is_screening_worthwhile, screened_above, screened_top_k

__all__ = [
    "fraction_above",
    "is_selection_worthwhile",
    "padded_code",
    "select_above",
    "select_batch_top_k",
    "select_positive",
    "select_top_k",
    "select_top_k_by_magnitude",
]

ROWS_PER_CHUNK = 512
"""Rows encoded at a time on a CPU, so that the block stays in the cache."""

DENSEST_SPARSE_FRACTION = 0.07
"""Share of active codes above which dense products are faster."""

N_PROBE_ROWS = 64
"""Rows that represent a batch."""

PROBE_MARGIN = 1.3
"""Surplus of entries that a probed floor lets through."""


@torch.no_grad()
def select_top_k(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    k: int,
) -> tuple[Float[Tensor, " nnz"], Selection]:
    """The k largest pre-activations of each row; nnz = batch * k."""
    n_rows = hidden.shape[0]
    screened = screened_top_k(hidden, weight, bias, k=k) if is_screening_worthwhile(hidden, weight, k=k) else None
    if screened is not None:
        return screened[0].reshape(-1), _rectangular(screened[1], n_features=weight.shape[0])
    values = hidden.new_empty(n_rows, k)
    columns = torch.empty(n_rows, k, dtype=torch.int64, device=hidden.device)
    for start, stop in _spans(hidden):
        pre = _pre_activations(hidden[start:stop], weight, bias)
        torch.topk(pre, k, dim=1, sorted=False, out=(values[start:stop], columns[start:stop]))
    return values.reshape(-1), _rectangular(columns, n_features=weight.shape[0])


def _rectangular(columns: Tensor, *, n_features: int) -> Selection:
    n_rows, k = columns.shape
    return Selection(
        columns=columns.reshape(-1),
        rows=torch.arange(n_rows, device=columns.device).repeat_interleave(k, output_size=n_rows * k),
        row_starts=torch.arange(0, n_rows * k, k, device=columns.device),
        n_features=n_features,
    )


@torch.no_grad()
def select_top_k_by_magnitude(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    k: int,
) -> tuple[Float[Tensor, " nnz"], Selection]:
    """The k pre-activations of largest absolute value of each row, signed; nnz = batch * k."""
    blocks = []
    for start, stop in _spans(hidden):
        pre = _pre_activations(hidden[start:stop], weight, bias)
        columns = pre.abs().topk(k, dim=1, sorted=False).indices
        blocks.append((pre.gather(1, columns), columns))
    values, columns = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    return values.reshape(-1), _rectangular(columns, n_features=weight.shape[0])


@torch.no_grad()
def select_above(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    floor: Float[Tensor, "#n_features"],
) -> tuple[Float[Tensor, " nnz"], Selection]:
    """All pre-activations above `floor` (one value, or one per feature); on a GPU this waits for the device."""
    n_rows, n_features = hidden.shape[0], weight.shape[0]
    screened = screened_above(hidden, weight, bias, floor=floor) if is_screening_worthwhile(hidden, weight) else None
    if screened is not None:
        values, rows, columns = screened
    else:
        parts = []
        for start, stop in _spans(hidden):
            pre = _pre_activations(hidden[start:stop], weight, bias)
            positions = true_positions(is_above(pre, floor).view(-1))
            parts.append((pre.view(-1).index_select(0, positions), positions + start * n_features))
        values, positions = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
        rows = positions // n_features
        columns = positions - rows * n_features
    per_row = torch.bincount(rows, minlength=n_rows)
    selection = Selection(columns=columns, rows=rows, row_starts=per_row.cumsum(0) - per_row, n_features=n_features)
    return values, selection


def select_positive(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
) -> tuple[Float[Tensor, " nnz"], Selection]:
    return select_above(hidden, weight, bias, floor=hidden.new_zeros(1))


@torch.no_grad()
def select_batch_top_k(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    k: int,
) -> tuple[Float[Tensor, " nnz"], Selection]:
    """The k * batch largest pre-activations of the batch, in row order.

    CPU: positive ones only. GPU: always nnz = k * batch, so that nothing waits for the device.
    """
    n_wanted, n_features = k * hidden.shape[0], weight.shape[0]
    if not is_on_host(hidden):
        return _select_batch_top_k_at_once(hidden, weight, bias, n_wanted=n_wanted)
    floor = _probed_floor(hidden, weight, bias, n_per_row=k * PROBE_MARGIN)
    values, selection = select_above(hidden, weight, bias, floor=floor)
    if values.numel() < n_wanted and bool(floor > 0):  # the probed floor was too high
        values, selection = select_positive(hidden, weight, bias)
    if values.numel() <= n_wanted:
        return values, selection
    kept = values.topk(n_wanted, sorted=False).indices.sort().values
    entries = selection.rows[kept] * n_features + selection.columns[kept]
    return values[kept], _selection_of(entries, n_rows=hidden.shape[0], n_features=n_features)


def _select_batch_top_k_at_once(
    hidden: Tensor, weight: Tensor, bias: Tensor, *, n_wanted: int
) -> tuple[Tensor, Selection]:
    pre = _pre_activations(hidden, weight, bias).reshape(-1)
    entries = pre.topk(n_wanted, sorted=False).indices.sort().values
    return pre[entries], _selection_of(entries, n_rows=hidden.shape[0], n_features=weight.shape[0])


def _selection_of(entries: Tensor, *, n_rows: int, n_features: int) -> Selection:
    rows = entries // n_features
    row_starts = torch.searchsorted(rows, torch.arange(n_rows, device=entries.device))
    return Selection(columns=entries % n_features, rows=rows, row_starts=row_starts, n_features=n_features)


def _probed_floor(hidden: Tensor, weight: Tensor, bias: Tensor, *, n_per_row: float) -> Tensor:
    """[1]: a value of at least 0 that about `n_per_row` pre-activations of a row exceed."""
    pre = _pre_activations(_probe(hidden), weight, bias)
    n_kept = math.ceil(n_per_row * pre.shape[0])
    if n_kept >= pre.numel():
        return pre.new_zeros(1)
    return pre.reshape(-1).topk(n_kept, sorted=False).values.min().clamp_min(0).reshape(1)


@torch.no_grad()
def fraction_above(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    floor: Float[Tensor, "#n_features"],
) -> float:
    """Share of pre-activations above `floor` in evenly spread rows."""
    return float((_pre_activations(_probe(hidden), weight, bias) > floor).float().mean())


def is_selection_worthwhile(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    floor: Float[Tensor, "#n_features"],
) -> bool:
    """Whether few enough pre-activations are above `floor` for sparse gradients to be faster; never on a GPU."""
    if not is_on_host(hidden) or hidden.shape[0] == 0:
        return False
    return fraction_above(hidden, weight, bias, floor=floor) <= DENSEST_SPARSE_FRACTION


def padded_code(values: Float[Tensor, " nnz"], selection: Selection) -> SparseCode:
    """Selected codes as rows padded to the longest (at least 1)."""
    n_rows = selection.row_starts.shape[0]
    places = torch.arange(values.shape[0], device=values.device) - selection.row_starts[selection.rows]
    width = int(places.max()) + 1 if values.shape[0] else 1
    padded = values.new_zeros(n_rows, width).index_put((selection.rows, places), values)
    indices = selection.columns.new_zeros(n_rows, width).index_put((selection.rows, places), selection.columns)
    return SparseCode(padded, indices)


def _spans(hidden: Tensor) -> list[tuple[int, int]]:
    n_rows = hidden.shape[0]
    n_together = ROWS_PER_CHUNK if is_on_host(hidden) else max(1, n_rows)
    starts = list(range(0, n_rows, n_together)) or [0]
    return list(pairwise([*starts, n_rows]))  # at least one, so that an empty batch has its shapes


def _probe(hidden: Tensor) -> Tensor:
    return hidden[:: max(1, hidden.shape[0] // N_PROBE_ROWS)]


def _pre_activations(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.linear(hidden, weight, bias).to(hidden.dtype)
