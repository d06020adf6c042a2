"""Agreement of found with planted features: the mean correlation coefficient (MCC) over matched pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__ = ["Matching", "dictionary_cosine", "dictionary_mcc", "latent_mcc", "match_features"]


class Matching(NamedTuple):
    """One-to-one pairs of planted and found features, as many as the smaller side has."""

    mean: float  # of the best matching (Hungarian algorithm)
    greedy_mean: float  # of the matching that takes the most similar pair left; at most `mean`
    planted: Int[Tensor, " n_pairs"]  # the best matching, in planted order
    found: Int[Tensor, " n_pairs"]
    similarity: Float[Tensor, " n_pairs"]


def latent_mcc(planted: Float[Tensor, "n_samples n_planted"], found: Float[Tensor, "n_samples n_found"]) -> Matching:
    """Mean |Pearson r| over samples between matched codes (O'Neill et al., arXiv 2411.13117, section 4).

    A constant (dead) feature counts with r = 0. Raises ValueError for fewer than two samples or values not finite.
    """
    return match_features(_correlations(_columns(planted, "planted"), _columns(found, "found")))


def dictionary_mcc(planted: Float[Tensor, "n_planted d_in"], found: Float[Tensor, "n_found d_in"]) -> Matching:
    """Mean |Pearson r| over coordinates between matched directions (rows), as in O'Neill et al.

    Unlike the cosine it subtracts each direction's mean. Raises ValueError as `latent_mcc`.
    """
    return match_features(_correlations(_columns(planted.T, "planted"), _columns(found.T, "found")))


def dictionary_cosine(planted: Float[Tensor, "n_planted d_in"], found: Float[Tensor, "n_found d_in"]) -> Matching:
    """Mean |cosine| between matched directions (rows); a zero direction counts with 0."""
    return match_features(
        np.abs(_normalised(_columns(planted.T, "planted")).T @ _normalised(_columns(found.T, "found")))
    )


def match_features(similarity: NDArray[np.float64]) -> Matching:
    """Best and greedy matching of non-negative similarities [n_planted, n_found]."""
    planted, found = linear_sum_assignment(similarity, maximize=True)
    pairs = similarity[planted, found]
    return Matching(
        mean=float(pairs.mean()),
        greedy_mean=_greedy_mean(similarity),
        planted=torch.from_numpy(planted.astype(np.int64)),
        found=torch.from_numpy(found.astype(np.int64)),
        similarity=torch.from_numpy(pairs),
    )


def _greedy_mean(similarity: NDArray[np.float64]) -> float:
    left = similarity.copy()
    n_pairs = min(left.shape)
    total = 0.0
    for _ in range(n_pairs):
        row, column = np.unravel_index(left.argmax(), left.shape)
        total += left[row, column]
        left[row, :] = -1.0
        left[:, column] = -1.0
    return float(total / n_pairs)


def _columns(values: Tensor, name: str) -> NDArray[np.float64]:
    if values.shape[0] < 2 or values.shape[1] < 1:
        raise ValueError(f"{name} has shape {tuple(values.shape)}: MCC needs two values or more of a feature or more")
    columns = values.detach().to(device="cpu", dtype=torch.float64).numpy()
    if not np.isfinite(columns).all():
        raise ValueError(f"{name} holds values that are not finite")
    return columns


def _normalised(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(columns, axis=0)
    return columns / np.where(norms > 0, norms, 1.0)


def _correlations(planted: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = []
    for columns in (planted, found):
        less_mean = columns - columns.mean(axis=0)
        # The mean of equal numbers may differ from them by a rounding error, which must not pass for variation.
        less_mean[:, columns.max(axis=0) == columns.min(axis=0)] = 0.0
        centred.append(_normalised(less_mean))
    return np.abs(centred[0].T @ centred[1])
