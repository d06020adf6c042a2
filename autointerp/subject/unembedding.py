"""What a direction at a site adds to the logits, straight through: out-projection, final norm, unembedding.

The final norm is linearised: its gain is folded in and, for LayerNorm, the mean over coordinates taken off. Each
token's division by its standard deviation is left out: it scales all logits of a token alike, so effects rank entries
exactly. Left out as well: later layers, and monotone caps on logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["LinearNorm", "logit_effects"]

# large against any epsilon under a norm's square root
PROBE_SCALE = 1e3


@dataclass(frozen=True, slots=True)
class LinearNorm:
    """A final norm without its division: gain per coordinate, and whether the mean is taken off."""

    gain: Float[Tensor, " d_model"]
    centres: bool

    @classmethod
    @torch.no_grad()
    def measure(cls, norm: Callable[[Tensor], Tensor] | None, *, d_model: int, device: torch.device) -> LinearNorm:
        """Read off the module itself, so that every spelling of a gain (`w`, `1 + w`) is got right."""
        if norm is None:
            return cls(torch.ones(d_model, device=device), centres=False)
        signs = torch.ones(d_model, device=device)
        signs[1::2] = -1
        shift = torch.full((d_model,), 3.0, device=device)

        def odd(x: Tensor) -> Tensor:
            x = PROBE_SCALE * x.view(1, 1, -1)
            # a norm is odd in its input but for its bias, so this is gain * x / scale(x)
            return (norm(x) - norm(-x)).flatten().float().to(device) / 2

        # a shift by a constant vanishes under LayerNorm and halves the response under RMSNorm
        centres = bool(torch.allclose(odd(signs), odd(signs + shift), rtol=1e-3, atol=1e-5))
        x = signs - signs.mean() if centres else signs
        return cls(odd(signs) / (x / x.square().mean().sqrt()), centres)

    def __call__(self, x: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
        return (x - x.mean(dim=-1, keepdim=True) if self.centres else x) * self.gain


def logit_effects(
    directions: Float[Tensor, "n d_in"],
    *,
    out: Float[Tensor, "d_in d_model"] | None,
    norm: LinearNorm,
    unembedding: Float[Tensor, "d_model vocab"],
) -> Float[Tensor, "n vocab"]:
    """`out` leads from the site to the residual stream where they differ."""
    residual = directions if out is None else directions @ out
    return norm(residual) @ unembedding
