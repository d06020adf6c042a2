"""Sparse coding of O'Neill et al. (arXiv 2411.13117): full-batch Adam on log-codes and dictionary.

Minimises mean((x - codes @ directions)^2) + l1_weight * mean(codes), codes = exp(log-codes). Problems stacked in
leading axes are independent.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.randomness import generator
from sae_core.sparse_coding.alternating import CodedDictionary

__all__ = ["fit_log_codes", "infer_log_codes"]

FIRST_LOG_CODE = -10.0
"""Start of every log-code, as in the paper's code."""


def fit_log_codes(
    x: Float[Tensor, "*problem n_samples d_in"],
    *,
    n_features: int,
    n_steps: int = 40_000,
    learning_rate: float = 1e-3,
    l1_weight: float = 0.01,
    seed: int = 0,
) -> CodedDictionary:
    """Codes and unit-norm directions, learned together; defaults are the paper's. Raises ValueError."""
    if n_features < 1:
        raise ValueError(f"n_features = {n_features}: must be at least 1")
    draw = generator(seed, "log_codes")
    start = torch.randn(*x.shape[:-2], n_features, x.shape[-1], generator=draw, dtype=torch.float32)
    directions = functional.normalize(start, dim=-1).to(device=x.device, dtype=x.dtype)
    return _descend(x, directions, is_fixed=False, n_steps=n_steps, learning_rate=learning_rate, l1_weight=l1_weight)


def infer_log_codes(
    x: Float[Tensor, "*problem n_samples d_in"],
    directions: Float[Tensor, "*problem n_features d_in"],
    *,
    n_steps: int = 10_000,
    learning_rate: float = 3e-3,
    l1_weight: float = 0.01,
) -> Float[Tensor, "*problem n_samples n_features"]:
    """Codes of new samples with fixed directions; defaults are the paper's."""
    return _descend(
        x, directions, is_fixed=True, n_steps=n_steps, learning_rate=learning_rate, l1_weight=l1_weight
    ).codes


def _descend(
    x: Tensor, start: Tensor, *, is_fixed: bool, n_steps: int, learning_rate: float, l1_weight: float
) -> CodedDictionary:
    if n_steps < 1:
        raise ValueError(f"n_steps = {n_steps}: must be at least 1")
    n_samples, n_features = x.shape[-2], start.shape[-2]
    log_codes = torch.full((*x.shape[:-1], n_features), FIRST_LOG_CODE, dtype=x.dtype, device=x.device)
    directions = start.clone()
    optimiser = torch.optim.Adam([log_codes] if is_fixed else [log_codes, directions], lr=learning_rate, fused=True)
    # The gradients are written down rather than left to autograd: at these sizes its bookkeeping costs more than they.
    # Each problem's loss has its own mean, and Adam treats every entry by itself, so stacking changes nothing.
    error_share = 2.0 / (n_samples * x.shape[-1])
    l1_share = l1_weight / (n_samples * n_features)
    for _ in range(n_steps):
        if not is_fixed:
            directions.div_(directions.norm(dim=-1, keepdim=True).clamp_min(1e-12))
        codes = log_codes.exp()
        slope = (codes @ directions - x).mul_(error_share)
        log_codes.grad = (slope @ directions.mT).add_(l1_share).mul_(codes)
        if not is_fixed:
            directions.grad = codes.mT @ slope
        optimiser.step()
    norms = directions.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return CodedDictionary(directions / norms, log_codes.exp() * norms.mT)
