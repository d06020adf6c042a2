"""Dictionaries made sparse by an L1 penalty, whose weight a target L0 may steer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.encoder import EncoderDictionary

__all__ = ["PenalisedDictionary"]

INTEGRAL_GAIN = 0.05
"""Change of the log of the L1 weight per step, for L0 at e times its target or more."""

PROPORTIONAL_GAIN = 1.0
"""Power of L0 / target by which a batch's weight answers at once; it damps the swings of the integral part."""


class PenalisedDictionary(EncoderDictionary):
    """An encoder dictionary under an L1 penalty. Buffer: l1_factor, multiplied with `l1_weight`.

    With `config.l0_target` a proportional-integral controller steers the weight: L0 ends near the target after some
    hundreds of steps. The buffer is its whole state, so a resumed run continues exactly.
    """

    l1_factor: Tensor

    def add_feature_parameters(self) -> None:
        super().add_feature_parameters()
        self.register_buffer("l1_factor", torch.ones((), dtype=torch.float32))

    def l1_penalty(self, code_sum: Float[Tensor, ""], *, n_active: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The weighted penalty, in normalised units. code_sum: batch mean of the penalised sum."""
        weight = self.config.l1_weight * self.l1_unit * self.l1_factor
        target = self.config.l0_target
        if target is not None and self.training:
            # At most e: half of all features are active at first, and a full answer would silence them for good.
            weight = weight * (PROPORTIONAL_GAIN * self._log_excess(n_active, target=target).clamp(max=1)).exp()
        return weight * code_sum

    @torch.no_grad()
    def steer(self, n_active: Float[Tensor, ""]) -> None:
        target = self.config.l0_target
        if target is not None and self.training:
            # The gain suits Adam's learning rates from 3e-4; the slower the weights follow, the more L0 swings.
            self.l1_factor *= (INTEGRAL_GAIN * self._log_excess(n_active, target=target).clamp(-1, 1)).exp()

    def _log_excess(self, n_active: Tensor, *, target: float) -> Tensor:
        return (self.ranks.mean(n_active).clamp_min(1e-3) / target).log()
