"""The point with the smallest summed distance to a set of points."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["geometric_median"]

POINTS_PER_BLOCK = 256
"""Points taken at a time, so that their float64 copies stay in the cache."""


@torch.no_grad()
def geometric_median(
    points: Float[Tensor, "n_points d_in"], *, n_iterations: int = 200, tolerance: float = 1e-7
) -> Float[Tensor, " d_in"]:
    """Weiszfeld's iteration in float64, from the arithmetic mean (Bricken et al. 2023, "Initialization").

    Stops when a step is below `tolerance` times the mean distance.
    """
    median, mean_distance = points.new_zeros(points.shape[1], dtype=torch.float64), 0.0
    for block in points.split(POINTS_PER_BLOCK):
        median += block.sum(dim=0, dtype=torch.float64) / points.shape[0]
    for block in points.split(POINTS_PER_BLOCK):
        mean_distance += float((block.double() - median).norm(dim=1).sum()) / points.shape[0]
    for _ in range(n_iterations):
        # A point that coincides with the estimate would get infinite weight and stop the iteration there.
        least = 1e-12 + 1e-9 * mean_distance
        total, weight, mean_distance = torch.zeros_like(median), torch.zeros_like(median[0]), 0.0
        for block in points.split(POINTS_PER_BLOCK):
            exact = block.double()
            distances = (exact - median).norm(dim=1)
            weights = 1.0 / distances.clamp_min(least)
            total += weights @ exact
            weight += weights.sum()
            mean_distance += float(distances.sum()) / points.shape[0]
        moved = total / weight
        step = float((moved - median).norm())
        median = moved
        if step <= tolerance * mean_distance:
            break
    return median.to(points.dtype)
