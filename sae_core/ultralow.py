"""The ultralow-density cluster: features that fire far more rarely than the others, a mode of their own.

Bricken et al. 2023 found it in the histogram of log densities of ReLU autoencoders, and its features mean little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["DENSITY_BIN_EDGES", "UltralowCluster", "density_histogram", "find_ultralow"]

DENSITY_BIN_EDGES: tuple[float, ...] = tuple(-7.0 + 0.25 * i for i in range(29))
"""Bin edges of log10 density."""

VALLEY_FRAC = 0.5
"""Height of the valley between two modes over that of the lower one, at most."""

DECADES_APART = 1.0
HIGHEST_MODE = -3.0
"""log10 density above which no mode is ultralow."""

LEAST_FRAC = 0.1
"""Least share of the live features on either side."""

N_DEVIATIONS = 3.0
"""Deviations of a count by which a mode stands above the valley, at least."""


@dataclass(frozen=True, slots=True)
class UltralowCluster:
    # the density below which a feature belongs to it
    limit: float
    n_features: int
    # of the features that fire
    live_frac: float


def density_histogram(density: Float[Tensor, " n_features"]) -> tuple[int, ...]:
    """Live features per bin of DENSITY_BIN_EDGES: a density of 1 belongs to the last, one below 10^-7 to the first."""
    edges = torch.tensor(DENSITY_BIN_EDGES, dtype=torch.float64)
    logs = density[density > 0].double().log10()
    bins = (torch.searchsorted(edges, logs, right=True) - 1).clamp(0, len(edges) - 2)
    return tuple(torch.bincount(bins, minlength=len(edges) - 1).tolist())


def find_ultralow(density: Float[Tensor, " n_features"]) -> UltralowCluster | None:
    """The cluster below the deepest valley of the histogram of log densities (quarter decades, smoothed 1:2:1).

    The modes on both sides of the valley are at least twice as high, a decade apart, and each has a tenth of the
    live features; the lower one lies below one token in a thousand. None where there are no such two.
    """
    counts = np.array(density_histogram(density), dtype=float)
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
    n_live, below = counts.sum(), counts.cumsum()
    depths = {}
    for valley in range(1, len(counts) - 1):
        low, high = int(smooth[:valley].argmax()), valley + 1 + int(smooth[valley + 1 :].argmax())
        height = min(smooth[low], smooth[high])
        # the valley's bin belongs above
        share = below[valley - 1] / max(1.0, n_live)
        if (
            smooth[valley] <= VALLEY_FRAC * height
            and height - smooth[valley] > N_DEVIATIONS * np.sqrt(height)
            and (high - low) * (DENSITY_BIN_EDGES[1] - DENSITY_BIN_EDGES[0]) >= DECADES_APART
            and DENSITY_BIN_EDGES[low + 1] <= HIGHEST_MODE
            and LEAST_FRAC <= share <= 1 - LEAST_FRAC
        ):
            depths[valley] = height - smooth[valley]
    if not depths:
        return None
    valley = max(depths, key=lambda place: depths[place])
    n = int(below[valley - 1])
    return UltralowCluster(limit=10 ** DENSITY_BIN_EDGES[valley], n_features=n, live_frac=n / float(n_live))
