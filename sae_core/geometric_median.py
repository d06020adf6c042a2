"""The point with the smallest summed distance to a set of points."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["geometric_median"]


@torch.no_grad()
def geometric_median(
    points: Float[Tensor, "n_points d_in"], *, n_iterations: int = 200, tolerance: float = 1e-7
) -> Float[Tensor, " d_in"]:
    """Weiszfeld's iteration in float64, from the arithmetic mean (Bricken et al. 2023, "Initialization").

    Stops when a step is below `tolerance` times the mean distance.
    """
    exact = points.double()
    median = exact.mean(dim=0)
    for _ in range(n_iterations):
        distances = (exact - median).norm(dim=1)
        # A point that coincides with the estimate would get infinite weight and stop the iteration there.
        weights = 1.0 / distances.clamp_min(1e-12 + 1e-9 * float(distances.mean()))
        moved = (weights[:, None] * exact).sum(dim=0) / weights.sum()
        step = float((moved - median).norm())
        median = moved
        if step <= tolerance * float(distances.mean()):
            break
    return median.to(points.dtype)
