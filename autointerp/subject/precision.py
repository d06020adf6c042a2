"""Products in bfloat16: where they are fast, and what they change.

Weights, norms and the residual stream stay float32 (torch.autocast). On SmolLM2-135M's neurons of layer 10 the error is
0.02% of the variance, yet 3% of the firings at a density of 1% are others, since many activations lie near a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

__all__ = ["LEAST_SAME_FRAC", "Rounding", "compare_rounding"]

# share of firings that must be the same for bfloat16 to be taken by itself
LEAST_SAME_FRAC = 0.995
# a coordinate fires on this share of tokens, as a dense dictionary's does by default
DENSITY = 0.01


@dataclass(frozen=True, slots=True)
class Rounding:
    """What a rounded reading of a site changes."""

    # squared error over variance: what it adds to an FVU
    error_frac: float
    # firings that both readings have, over the mean number of firings
    same_frac: float

    def in_short(self) -> str:
        return f"{self.same_frac:.1%} of the firings are the same, the error is {self.error_frac:.2%} of the variance"


def compare_rounding(exact: Float[Tensor, "n d_in"], rounded: Float[Tensor, "n d_in"]) -> Rounding:
    """Coordinates fire above the threshold that `exact` exceeds on a share DENSITY of the rows."""
    n_firing = max(1, round(DENSITY * len(exact)))
    threshold = exact.topk(min(n_firing + 1, len(exact)), dim=0).values[-1]
    fires, still = exact > threshold, rounded > threshold
    both, mean = float((fires & still).sum()), float(fires.sum() + still.sum()) / 2
    variance = (exact - exact.mean(dim=0)).square().sum()
    return Rounding(
        error_frac=float((rounded - exact).square().sum() / variance) if variance > 0 else 0.0,
        same_frac=both / mean if mean else 1.0,
    )
