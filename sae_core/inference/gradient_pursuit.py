"""Gradient pursuit: one more feature per step, then a line search along the gradient of all chosen codes."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.dictionary import SparseCode
from sae_core.inference.problem import check_problem, exact_matmul, row_chunks
from sae_core.inference.search import FeatureSearch

__all__ = ["gradient_pursuit"]


@torch.no_grad()
def gradient_pursuit(
    x: Float[Tensor, "batch d_in"],
    directions: Float[Tensor, "n_features d_in"],
    *,
    n_active: int,
    is_non_negative: bool = True,
) -> SparseCode:
    """Codes [batch, n_active] after `n_active` steps of gradient pursuit (Blumensath & Davies 2008, section III).

    Each step adds the feature of largest correlation (signed: magnitude) and moves all chosen codes along their
    gradient. Repeated or clipped features leave fewer active. Raises WidthMismatchError, ValueError for n_active below
    1 or different dtypes.
    """
    check_problem(x, directions)
    directions = directions.detach()
    if n_active < 1:
        raise ValueError(f"n_active = {n_active}: must be at least 1")
    n_rows = x.shape[0]
    values = x.new_zeros(n_rows, n_active)
    indices = torch.zeros(n_rows, n_active, dtype=torch.int64, device=x.device)
    with exact_matmul(x.device):
        search = FeatureSearch(directions, is_non_negative=is_non_negative)
        for rows in row_chunks(n_rows, values_per_row=directions.shape[0], device=x.device):
            _pursue(x[rows], search, values[rows], indices[rows])
    return SparseCode(values, indices)


def _pursue(x: Tensor, search: FeatureSearch, values: Tensor, indices: Tensor) -> None:
    n_rows, n_active = values.shape
    residual, correlations = x, x.new_zeros(n_rows, 0)
    is_first = torch.zeros(n_rows, n_active, dtype=x.dtype, device=x.device)
    for step in range(n_active):
        best, correlation = search(residual)
        # A feature chosen again keeps its first place; the new one stays empty.
        is_first[:, step] = (indices[:, :step] != best[:, None]).all(dim=1)
        indices[:, step] = best
        chosen, codes = indices[:, : step + 1], values[:, : step + 1]
        gradient = torch.cat([correlations, correlation[:, None]], dim=1).mul_(is_first[:, : step + 1])
        move = _sum_rows(chosen, search.directions, gradient)
        squared_length = move.square().sum(dim=1)
        step_size = (move * residual).sum(dim=1) / squared_length.where(squared_length > 0, 1.0)
        codes.addcmul_(gradient, step_size[:, None])
        if search.is_non_negative:
            codes.clamp_(min=0)  # a heuristic (Smith 2024): the step size was chosen without it
        if step + 1 < n_active:
            # From scratch: clipping breaks an update in place, and rounding errors do not add up.
            residual, correlations = _residual(x, search.directions, chosen, codes)


def _residual(x: Tensor, directions: Tensor, chosen: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    if torch.is_inference_mode_enabled() or directions.is_inference():
        # No gradients there, not even these: the chosen rows are copied out, which takes longer.
        residual = x - _sum_rows(chosen, directions, codes)
        return residual, torch.bmm(directions[chosen], residual[:, :, None])[:, :, 0]
    with torch.enable_grad():
        weights = codes.detach().clone().requires_grad_()
        reconstruction = _sum_rows(chosen, directions, weights)
    residual = x - reconstruction.detach()
    # The gradient of a weighted sum of rows to its weights is the product of each row with what stands outside.
    (correlations,) = torch.autograd.grad(reconstruction, weights, residual)
    return residual, correlations


def _sum_rows(chosen: Tensor, directions: Tensor, weights: Tensor) -> Tensor:
    return functional.embedding_bag(chosen, directions, per_sample_weights=weights.contiguous(), mode="sum")
