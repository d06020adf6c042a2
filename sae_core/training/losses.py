"""Reconstruction losses."""

from __future__ import annotations

import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.config import LossKind
from sae_core.distributed import ALONE, Ranks

__all__ = ["reconstruction_loss"]


def reconstruction_loss(
    x: Float[Tensor, "batch d_in"],
    reconstruction: Float[Tensor, "batch d_in"],
    *,
    kind: LossKind,
    input_scale: float | Float[Tensor, ""],
    ranks: Ranks = ALONE,
) -> Float[Tensor, ""]:
    """`mse`: mean over batch and coordinates of (input_scale * error)^2. `normalised_mse`: squared error over that of
    the batch mean (O'Neill et al., arXiv 2411.13117, GPT-2 experiments).

    The mean over ranks is the loss of the whole batch.
    """
    if kind == "mse":
        return functional.mse_loss(reconstruction, x) * input_scale**2
    return functional.mse_loss(reconstruction, x, reduction="sum") / ranks.total_variation(x).clamp_min(1e-12)
