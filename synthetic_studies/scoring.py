"""Scores of stacked problems, one number per problem."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.mcc import dictionary_mcc, latent_mcc
from sae_core.support import CodeCost, measure_codes

__all__ = ["code_correlations", "code_costs", "code_scores", "dictionary_scores", "lasso_weight", "log_steps"]


def code_correlations(
    true: Float[Tensor, "problem batch n_features"], found: Float[Tensor, "problem batch n_features"]
) -> list[float]:
    """Mean over features of Pearson's r between true and found code at the SAME place; 0 if silent."""
    a = true - true.mean(dim=1, keepdim=True)
    b = found - found.mean(dim=1, keepdim=True)
    scale = a.norm(dim=1) * b.norm(dim=1)
    r = torch.where(scale > 0, (a * b).sum(dim=1) / scale.clamp_min(1e-30), torch.zeros_like(scale))
    return r.mean(dim=1).tolist()


def code_scores(
    true: Float[Tensor, "problem batch n_features"], found: Float[Tensor, "problem batch n_found"]
) -> list[float]:
    """Latent MCC per problem."""
    return [latent_mcc(a, b).mean for a, b in zip(true, found, strict=True)]


def dictionary_scores(
    true: Float[Tensor, "problem n_features d_in"], found: Float[Tensor, "problem n_found d_in"]
) -> list[float]:
    """Dictionary MCC per problem."""
    return [dictionary_mcc(a, b).mean for a, b in zip(true, found, strict=True)]


def code_costs(
    x: Float[Tensor, "problem batch d_in"],
    codes: Float[Tensor, "problem batch n_features"],
    directions: Float[Tensor, "problem n_features d_in"],
    *,
    threshold: float = 1e-4,
) -> list[CodeCost]:
    """mse, l0 and l1 per problem; codes up to `threshold` count as 0, since exponentials never are."""
    kept = torch.where(codes.abs() > threshold, codes, torch.zeros_like(codes))
    return [measure_codes(*parts) for parts in zip(x, kept, directions, strict=True)]


def lasso_weight(l1_weight: float, *, n_features: int, d_in: int) -> float:
    """Weight w of (1/2) |x - z D|^2 + w * sum z with the optimum of the paper's loss, mean (x - z D)^2 + l1_weight *
    mean z."""
    return l1_weight * d_in / (2 * n_features)


def log_steps(n_steps: int, *, n_marks: int = 24, first: int = 10) -> list[int]:
    """About `n_marks` steps from `first` to `n_steps`, evenly spread in the logarithm."""
    first = min(first, n_steps)
    ratio = math.log(n_steps / first) / max(1, n_marks - 1)
    return sorted({min(n_steps, round(first * math.exp(ratio * mark))) for mark in range(n_marks)} | {n_steps})
