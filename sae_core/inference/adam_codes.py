"""Codes by Adam, as in published synthetic studies; `proximal` reaches the same optimum faster."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.inference.problem import check_problem, exact_matmul

__all__ = ["SMALLEST_CODE", "adam_codes"]

SMALLEST_CODE = math.exp(-10)
"""Smallest start of `exp`, since a code of 0 has no logarithm."""


@torch.no_grad()
def adam_codes(
    x: Float[Tensor, "*problem batch d_in"],
    directions: Float[Tensor, "*problem n_features d_in"],
    *,
    l1_weight: float,
    n_steps: int,
    learning_rate: float,
    warm_start: Float[Tensor, "*problem batch n_features"] | None = None,
    parametrisation: Literal["relu", "exp"] = "relu",
) -> Float[Tensor, "*problem batch n_features"]:
    """Codes z >= 0 after `n_steps` of Adam on (1/2) ||x - z D||^2 + l1_weight * sum z per sample.

    relu: z = ReLU(p); exp: z = exp(p), never 0. warm_start: first codes; default the rectified correlations (relu) or
    `SMALLEST_CODE` (exp). O'Neill et al. (arXiv 2411.13117) minimise mean (x - z D)^2 + w mean z, which is l1_weight =
    w * d_in / (2 * n_features). Raises WidthMismatchError, ValueError.
    """
    check_problem(x, directions)
    if parametrisation not in ("relu", "exp"):
        raise ValueError(f'parametrisation = {parametrisation!r}: must be "relu" or "exp"')
    if l1_weight < 0 or n_steps < 0 or learning_rate <= 0:
        raise ValueError(
            f"l1_weight = {l1_weight}, n_steps = {n_steps}, learning_rate = {learning_rate}: "
            "the first two must be 0 or more, the last above 0"
        )
    is_exp = parametrisation == "exp"
    with exact_matmul(x.device):
        start = _start(x, directions, is_exp=is_exp) if warm_start is None else warm_start.to(x.dtype)
        parameter = (
            start.clamp_min(SMALLEST_CODE).log() if is_exp else start.clone(memory_format=torch.contiguous_format)
        )
        adam = torch.optim.Adam([parameter], lr=learning_rate, fused=True)
        n_features, d_in = directions.shape[-2:]
        # Where it is the smaller product, the gradient is z (D D^T) - x D^T.
        gram = directions @ directions.mT if n_features <= 2 * d_in else None
        shift = l1_weight - x @ directions.mT if gram is not None else None
        for _ in range(n_steps):
            codes = parameter.exp() if is_exp else parameter.clamp(min=0)
            if gram is not None and shift is not None:
                gradient = (codes @ gram).add_(shift)
            else:
                gradient = ((codes @ directions).sub_(x) @ directions.mT).add_(l1_weight)
            # ReLU's slope at 0 is taken as 1, so that silent features can join.
            parameter.grad = gradient.mul_(codes if is_exp else parameter >= 0)
            adam.step()
        return parameter.exp() if is_exp else parameter.clamp(min=0)


def _start(x: Tensor, directions: Tensor, *, is_exp: bool) -> Tensor:
    shape = (*x.shape[:-1], directions.shape[-2])
    return x.new_full(shape, SMALLEST_CODE) if is_exp else (x @ directions.mT).clamp_(min=0)
