"""Which pre-activations become codes: the rules of the encoders, in blocks of rows.

Takes hidden vectors and an encoder's last layer, gives the chosen pre-activations and their Selection. No gradient is
recorded and no dense [batch, n_features] matrix is kept; kernels attaches the gradients. Knows nothing of
architectures.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.kernels import Selection

__all__ = ["positive_fraction", "select_positive", "select_top_k"]

ROWS_PER_CHUNK = 512
"""Rows encoded at a time on a CPU, so that the dense block stays in cache-sized memory."""


def _chunks(n_rows: int, device: torch.device) -> range:
    return range(0, n_rows, ROWS_PER_CHUNK if device.type == "cpu" else max(1, n_rows))


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
    values = hidden.new_empty(n_rows, k)
    columns = torch.empty(n_rows, k, dtype=torch.int64, device=hidden.device)
    for start in _chunks(n_rows, hidden.device):
        stop = min(start + ROWS_PER_CHUNK, n_rows) if hidden.device.type == "cpu" else n_rows
        pre = functional.linear(hidden[start:stop], weight, bias)
        torch.topk(pre, k, dim=1, sorted=False, out=(values[start:stop], columns[start:stop]))
    row_starts = torch.arange(0, n_rows * k, k, device=hidden.device)
    rows = torch.arange(n_rows, device=hidden.device).repeat_interleave(k)
    selection = Selection(columns=columns.reshape(-1), rows=rows, row_starts=row_starts, n_features=weight.shape[0])
    return values.reshape(-1), selection


@torch.no_grad()
def select_positive(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
) -> tuple[Float[Tensor, " nnz"], Selection]:
    """All positive pre-activations; no gradient is recorded."""
    n_rows = hidden.shape[0]
    values, columns, counts = [], [], []
    for start in _chunks(n_rows, hidden.device):
        stop = start + ROWS_PER_CHUNK if hidden.device.type == "cpu" else n_rows
        pre = functional.linear(hidden[start:stop], weight, bias)
        is_active = pre > 0
        counts.append(is_active.sum(dim=1))
        columns.append(is_active.nonzero()[:, 1])
        values.append(pre[is_active])
    per_row = torch.cat(counts)
    rows = torch.arange(n_rows, device=hidden.device).repeat_interleave(per_row)
    selection = Selection(
        columns=torch.cat(columns), rows=rows, row_starts=per_row.cumsum(0) - per_row, n_features=weight.shape[0]
    )
    return torch.cat(values), selection


@torch.no_grad()
def positive_fraction(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    n_probe: int = 64,
) -> float:
    """Share of positive pre-activations in evenly spread rows: decides between the sparse and the dense path."""
    stride = max(1, hidden.shape[0] // n_probe)
    pre = functional.linear(hidden[::stride], weight, bias)
    return float((pre > 0).float().mean())
