"""Codes with k active features by gradient descent through the choice of k (straight-through)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.inference.problem import check_problem, exact_matmul

__all__ = ["optimise_top_k", "top_k"]


def top_k(codes: Float[Tensor, "*problem batch n_features"], k: int) -> Float[Tensor, "*problem batch n_features"]:
    """The k largest codes of each row, the others 0."""
    values, columns = codes.topk(k, dim=-1)
    return torch.zeros_like(codes).scatter_(-1, columns, values)


@torch.no_grad()
def optimise_top_k(
    x: Float[Tensor, "*problem batch d_in"],
    directions: Float[Tensor, "*problem n_features d_in"],
    *,
    k: int,
    n_steps: int,
    learning_rate: float = 0.1,
) -> Float[Tensor, "*problem batch n_features"]:
    """Codes z >= 0, at most k of a row above 0, of small (1/2) ||x - z D||^2.

    z keeps the k largest of ReLU(p), p by Adam from the correlations. The gradient of z passes to all of p as if z were
    p (straight-through, Bengio et al. 2013), so that features left out can come in: through the choice alone none
    would. The rate falls to 0; each row's best z on the way is returned. Raises WidthMismatchError, ValueError.
    """
    check_problem(x, directions)
    if not 1 <= k <= directions.shape[-2] or n_steps < 1 or learning_rate <= 0:
        raise ValueError(
            f"k = {k}, n_steps = {n_steps}, learning_rate = {learning_rate}: k must be 1 to n_features, the others "
            "above 0"
        )
    with exact_matmul(x.device):
        parameter = (x @ directions.mT).contiguous()
        best = torch.zeros_like(parameter)
        least = x.square().sum(dim=-1)
        adam = torch.optim.Adam([parameter], lr=learning_rate, fused=True)
        fall = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, total_iters=n_steps)
        for _ in range(n_steps):
            codes = top_k(parameter.clamp(min=0), k)
            error = codes @ directions - x
            size = error.square().sum(dim=-1)
            best = torch.where((size < least)[..., None], codes, best)
            least = torch.minimum(size, least)
            parameter.grad = error @ directions.mT
            adam.step()
            fall.step()
        return best
