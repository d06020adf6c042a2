"""Distance of codes from the lasso optimum: min over z of (1/2) ||x - z D||^2 + l1_weight * sum |z|, z >= 0 or any."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.inference.problem import exact_matmul

__all__ = ["duality_gap", "kkt_residual", "lasso_objective", "shrink"]


def shrink(codes: Tensor, threshold: float | Tensor, *, is_non_negative: bool) -> Tensor:
    """The proximal map of the L1 penalty: codes moved towards 0 by `threshold`, at most to 0."""
    if is_non_negative:
        return (codes - threshold).clamp(min=0)
    return codes.sign() * (codes.abs() - threshold).clamp(min=0)


@torch.no_grad()
def lasso_objective(
    x: Float[Tensor, "*problem batch d_in"],
    directions: Float[Tensor, "*problem n_features d_in"],
    codes: Float[Tensor, "*problem batch n_features"],
    *,
    l1_weight: float,
) -> Float[Tensor, "*problem batch"]:
    with exact_matmul(x.device):
        residual = x - codes @ directions
    return residual.square().sum(dim=-1) / 2 + l1_weight * codes.abs().sum(dim=-1)


@torch.no_grad()
def kkt_residual(
    x: Float[Tensor, "*problem batch d_in"],
    directions: Float[Tensor, "*problem n_features d_in"],
    codes: Float[Tensor, "*problem batch n_features"],
    *,
    l1_weight: float,
    is_non_negative: bool = True,
) -> Float[Tensor, "*problem batch"]:
    """Per sample the largest |z - prox(z - gradient)| in activation units, 0 at the optimum."""
    with exact_matmul(x.device):
        gradient = (codes @ directions - x) @ directions.mT
    return (codes - shrink(codes - gradient, l1_weight, is_non_negative=is_non_negative)).abs().amax(dim=-1)


@torch.no_grad()
def duality_gap(
    x: Float[Tensor, "*problem batch d_in"],
    directions: Float[Tensor, "*problem n_features d_in"],
    codes: Float[Tensor, "*problem batch n_features"],
    *,
    l1_weight: float,
    is_non_negative: bool = True,
) -> Float[Tensor, "*problem batch"]:
    """Per sample an upper bound of the objective minus its minimum (Kim et al. 2007, "An interior-point method for
    large-scale l1-regularized least squares", section III.A); loose for l1_weight 0."""
    with exact_matmul(x.device):
        residual = x - codes @ directions
        correlations = residual @ directions.mT
    largest = (correlations if is_non_negative else correlations.abs()).amax(dim=-1)
    # The dual point is the residual, scaled until no correlation exceeds l1_weight.
    scale = torch.where(largest > l1_weight, l1_weight / largest, 1.0)
    dual = residual * scale[..., None]
    dual_value = (x.square().sum(dim=-1) - (x - dual).square().sum(dim=-1)) / 2
    primal_value = residual.square().sum(dim=-1) / 2 + l1_weight * codes.abs().sum(dim=-1)
    return primal_value - dual_value
