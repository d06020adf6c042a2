"""Masks and their true places, on a CPU by numpy, which is several times faster than torch."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sae_core.device import is_on_host

__all__ = ["is_above", "is_nonzero", "true_positions"]


def is_nonzero(values: Float[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
    return torch.from_numpy(values.detach().numpy() != 0) if _is_for_numpy(values) else values != 0


def is_above(values: Float[Tensor, "*shape"], limit: Float[Tensor, "*limits"]) -> Bool[Tensor, "*shape"]:
    """`values > limit`; the limit is one number, or one per column."""
    if not (_is_for_numpy(values) and _is_for_numpy(limit)):
        return values > limit
    return torch.from_numpy(np.greater(values.detach().numpy(), limit.detach().numpy()))


def true_positions(mask: Bool[Tensor, " n"]) -> Int[Tensor, " n_true"]:
    """Places where a flat mask is true, in order."""
    return torch.from_numpy(np.flatnonzero(mask.numpy())) if is_on_host(mask) else mask.nonzero()[:, 0]


def _is_for_numpy(values: Tensor) -> bool:
    return is_on_host(values) and values.dtype in (torch.float32, torch.float64)
