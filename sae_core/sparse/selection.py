"""Which pre-activations become codes: the rules of the encoders, in blocks of rows.

Takes hidden vectors and an encoder's last layer, gives the chosen pre-activations and their Selection. No gradient is
recorded and no dense [batch, n_features] matrix is kept; kernels attaches the gradients. Under autocast the product is
taken in the lower precision and comes back in the hidden vectors' own. Knows nothing of architectures.
"""

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
"""Rows encoded at a time on a CPU, so that the dense block stays in cache-sized memory."""

DENSEST_SPARSE_FRACTION = 0.07
"""Above this share of active codes plain dense products are faster than sparse gradients."""

N_PROBE_ROWS = 64
"""Rows that stand for a batch where only a share is wanted."""

PROBE_MARGIN = 1.3
"""How many more entries than wanted a floor guessed from the probe should let through."""


@torch.no_grad()
def select_top_k(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    k: int,
) -> tuple[Float[Tensor, " nnz"], Selection]:
    """The k largest pre-activations of each row, with nnz = batch * k; no gradient is recorded."""
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
    """The selection of columns [batch, k]: equally many in each row."""
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
    """The k pre-activations of largest absolute value of each row, signed; nnz = batch * k. No gradient is recorded."""
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
    """All pre-activations above `floor` (one value, or one per feature); no gradient is recorded.

    Their number has to be known on the host, so on a GPU this waits for the device.
    """
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
    """All positive pre-activations; no gradient is recorded."""
    return select_above(hidden, weight, bias, floor=hidden.new_zeros(1))


@torch.no_grad()
def select_batch_top_k(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    k: int,
) -> tuple[Float[Tensor, " nnz"], Selection]:
    """The k * batch largest pre-activations of the whole batch, in row order; no gradient is recorded.

    CPU: only positive ones are returned (nnz may be smaller), and no dense matrix is kept: a floor that a few rows
    suggest thins each block out, and if it proves too high the batch is gone through again without one. GPU: nnz =
    k * batch always, so that nothing waits for the device; non-positive entries are up to the caller's rule.
    """
    n_wanted, n_features = k * hidden.shape[0], weight.shape[0]
    if not is_on_host(hidden):
        return _select_batch_top_k_at_once(hidden, weight, bias, n_wanted=n_wanted)
    floor = _probed_floor(hidden, weight, bias, n_per_row=k * PROBE_MARGIN)
    values, selection = select_above(hidden, weight, bias, floor=floor)
    if values.numel() < n_wanted and bool(floor > 0):
        values, selection = select_positive(hidden, weight, bias)
    if values.numel() <= n_wanted:
        return values, selection
    kept = values.topk(n_wanted, sorted=False).indices.sort().values
    entries = selection.rows[kept] * n_features + selection.columns[kept]
    return values[kept], _selection_of(entries, n_rows=hidden.shape[0], n_features=n_features)


def _select_batch_top_k_at_once(
    hidden: Tensor, weight: Tensor, bias: Tensor, *, n_wanted: int
) -> tuple[Tensor, Selection]:
    """The batch rule on the dense matrix; its shapes depend on no value."""
    pre = _pre_activations(hidden, weight, bias).reshape(-1)
    entries = pre.topk(n_wanted, sorted=False).indices.sort().values
    return pre[entries], _selection_of(entries, n_rows=hidden.shape[0], n_features=weight.shape[0])


def _selection_of(entries: Tensor, *, n_rows: int, n_features: int) -> Selection:
    """The selection of flat positions (row * n_features + feature) in ascending order."""
    rows = entries // n_features
    row_starts = torch.searchsorted(rows, torch.arange(n_rows, device=entries.device))
    return Selection(columns=entries % n_features, rows=rows, row_starts=row_starts, n_features=n_features)


def _probed_floor(hidden: Tensor, weight: Tensor, bias: Tensor, *, n_per_row: float) -> Tensor:
    """[1]: a value that about `n_per_row` pre-activations of a row exceed, judged by evenly spread rows; at least 0."""
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
    """Whether so few pre-activations are above `floor` that sparse gradients are faster than dense products.

    Never on a GPU: the number of active codes would have to be fetched first, and dense products are cheap there.
    """
    if not is_on_host(hidden) or hidden.shape[0] == 0:
        return False
    return fraction_above(hidden, weight, bias, floor=floor) <= DENSEST_SPARSE_FRACTION


def padded_code(values: Float[Tensor, " nnz"], selection: Selection) -> SparseCode:
    """Selected codes as rows padded to the longest one (at least 1 wide)."""
    n_rows = selection.row_starts.shape[0]
    places = torch.arange(values.shape[0], device=values.device) - selection.row_starts[selection.rows]
    width = int(places.max()) + 1 if values.shape[0] else 1
    padded = values.new_zeros(n_rows, width).index_put((selection.rows, places), values)
    indices = selection.columns.new_zeros(n_rows, width).index_put((selection.rows, places), selection.columns)
    return SparseCode(padded, indices)


def _spans(hidden: Tensor) -> list[tuple[int, int]]:
    """Blocks of rows (start, stop); at least one, so that an empty batch has its shapes."""
    n_rows = hidden.shape[0]
    n_together = ROWS_PER_CHUNK if is_on_host(hidden) else max(1, n_rows)
    starts = list(range(0, n_rows, n_together)) or [0]
    return list(pairwise([*starts, n_rows]))


def _probe(hidden: Tensor) -> Tensor:
    return hidden[:: max(1, hidden.shape[0] // N_PROBE_ROWS)]


def _pre_activations(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """In the hidden vectors' own type, also where autocast takes the product in a shorter one."""
    return functional.linear(hidden, weight, bias).to(hidden.dtype)
