"""Which features are said to be active, against which are; and what codes cost: error, L0, L1.

Takes planted and found codes and a matching of their features. Knows nothing of how codes were found.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sae_core.mcc import Matching

__all__ = ["CodeCost", "SupportRecovery", "measure_codes", "support_recovery"]


class SupportRecovery(NamedTuple):
    """How well the active set is recovered, over all samples together.

    precision: share of the found firings that are right; recall: share of the planted firings that were found (both
    1 where there is nothing to be right about); f1: their harmonic mean; exact_frac: share of samples whose set of
    active features is wholly right.
    """

    precision: float
    recall: float
    f1: float
    exact_frac: float


class CodeCost(NamedTuple):
    """Per sample means. mse: squared error per coordinate; l0: non-zero codes; l1: sum of the codes' magnitudes."""

    mse: float
    l0: float
    l1: float


def support_recovery(
    planted: Float[Tensor, "n_samples n_planted"],
    found: Float[Tensor, "n_samples n_found"],
    matching: Matching,
    *,
    threshold: float = 0.0,
) -> SupportRecovery:
    """Compare the features active (|code| > threshold; planted: not 0) after matching found to planted ones.

    A firing of a found feature without partner is a false one, a firing of a planted feature without partner is missed.
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
    """What `codes` cost as a description of `x`: reconstruction error, number and size."""
    error = (codes @ directions - x).double()
    return CodeCost(
        mse=float(error.square().mean()),
        l0=float((codes != 0).sum(dim=1).double().mean()),
        l1=float(codes.double().abs().sum(dim=1).mean()),
    )
