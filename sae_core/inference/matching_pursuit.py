"""Matching pursuit: each step adds the largest correlation to its feature's code."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.dictionary import SparseCode
from sae_core.inference.problem import check_problem, exact_matmul, row_chunks
from sae_core.inference.search import FeatureSearch

__all__ = ["matching_pursuit"]


@torch.no_grad()
def matching_pursuit(
    x: Float[Tensor, "batch d_in"],
    directions: Float[Tensor, "n_features d_in"],
    *,
    n_steps: int,
    residual_threshold: float = 0.0,
    is_stopped_by_repeat: bool = False,
    is_non_negative: bool = True,
) -> SparseCode:
    """Codes [batch, n_steps] by matching pursuit (Mallat & Zhang 1993, section III).

    A row stops when no step helps, at a residual norm below `residual_threshold` (activations' units; 0: never) or,
    with `is_stopped_by_repeat`, after a step without a new feature. Raises WidthMismatchError, ValueError.
    """
    check_problem(x, directions)
    if n_steps < 1:
        raise ValueError(f"n_steps = {n_steps}: must be at least 1")
    n_rows = x.shape[0]
    values = x.new_zeros(n_rows, n_steps)
    indices = torch.zeros(n_rows, n_steps, dtype=torch.int64, device=x.device)
    with exact_matmul(x.device):
        search = FeatureSearch(directions, is_non_negative=is_non_negative)
        for rows in row_chunks(n_rows, values_per_row=directions.shape[0], device=x.device):
            _pursue(
                x[rows],
                search,
                values[rows],
                indices[rows],
                residual_threshold=residual_threshold,
                is_stopped_by_repeat=is_stopped_by_repeat,
            )
    return SparseCode(values, indices)


def _pursue(
    x: Tensor,
    search: FeatureSearch,
    values: Tensor,
    indices: Tensor,
    *,
    residual_threshold: float,
    is_stopped_by_repeat: bool,
) -> None:
    live = torch.arange(x.shape[0], device=x.device)
    residual = x
    for step in range(values.shape[1]):
        best, value = search(residual)
        if search.is_non_negative:
            value = value.clamp(min=0)
        # A feature chosen again adds to its first place. Places not yet used hold value 0.
        is_same = (indices[live, :step] == best[:, None]) & (values[live, :step] != 0)
        is_repeated = is_same.any(dim=1)
        place = torch.where(is_repeated, is_same.int().argmax(dim=1), step) if step else torch.zeros_like(best)
        values[live, place] += value
        indices[live, place] = best
        residual = residual - value[:, None] * search.directions[best]
        is_live = value != 0
        if is_stopped_by_repeat:
            is_live &= ~is_repeated
        if residual_threshold > 0:
            is_live &= residual.norm(dim=1) >= residual_threshold
        live, residual = live[is_live], residual[is_live]
        if live.numel() == 0:
            return
