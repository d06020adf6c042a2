"""Recovery of the active set, and cost of codes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sae_core.mcc import Matching

__all__ = ["CodeCost", "SupportRecovery", "measure_codes", "support_recovery"]


class SupportRecovery(NamedTuple):
    """Recovery of the active set over all samples."""

    precision: float  # share of found firings that are planted (1 without any)
    recall: float  # share of planted firings that are found (1 without any)
    f1: float
    exact_frac: float  # share of samples with exactly the planted set


class CodeCost(NamedTuple):
    """Means per sample."""

    mse: float  # per coordinate
    l0: float  # non-zero codes
    l1: float  # sum of magnitudes


def support_recovery(
    planted: Float[Tensor, "n_samples n_planted"],
    found: Float[Tensor, "n_samples n_found"],
    matching: Matching,
    *,
    threshold: float = 0.0,
) -> SupportRecovery:
    """Compare active sets (|code| > threshold; planted: not 0) after matching.

    Firings of unmatched found features are false, of unmatched planted ones missed.
    """
    is_planted = planted != 0
    is_found = found.abs() > threshold
    aligned = torch.zeros_like(is_planted)
    aligned[:, matching.planted] = is_found[:, matching.found]
    is_unmatched = torch.ones(found.shape[1], dtype=torch.bool, device=found.device)
    is_unmatched[matching.found] = False
    return _scores(is_planted, aligned, is_found[:, is_unmatched])


def _scores(
    is_planted: Bool[Tensor, "n_samples n_planted"],
    aligned: Bool[Tensor, "n_samples n_planted"],
    unmatched: Bool[Tensor, "n_samples n_unmatched"],
) -> SupportRecovery:
    n_right = int((is_planted & aligned).sum())
    n_found = int(aligned.sum()) + int(unmatched.sum())
    n_planted = int(is_planted.sum())
    precision = n_right / n_found if n_found else 1.0
    recall = n_right / n_planted if n_planted else 1.0
    is_exact = (is_planted == aligned).all(dim=1) & ~unmatched.any(dim=1)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
    return SupportRecovery(precision, recall, f1, float(is_exact.double().mean()))


def measure_codes(
    x: Float[Tensor, "n_samples d_in"],
    codes: Float[Tensor, "n_samples n_features"],
    directions: Float[Tensor, "n_features d_in"],
) -> CodeCost:
    error = (codes @ directions - x).double()
    return CodeCost(
        mse=float(error.square().mean()),
        l0=float((codes != 0).sum(dim=1).double().mean()),
        l1=float(codes.double().abs().sum(dim=1).mean()),
    )
