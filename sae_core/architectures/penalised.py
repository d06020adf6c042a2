"""What dictionaries made sparse by an L1 penalty share: its weight, and how a target L0 steers it.

Takes the codes' mean sum and the batch's L0. Knows nothing of which pre-activations become codes.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.encoder import EncoderDictionary

__all__ = ["PenalisedDictionary"]

INTEGRAL_GAIN = 0.05
"""By how much the log of the L1 weight moves in a step in which L0 is e times its target (or more)."""

PROPORTIONAL_GAIN = 1.0
"""Power of L0 / target by which a batch's weight answers at once (up to e); it damps the swings of the slow part."""


class PenalisedDictionary(EncoderDictionary):
    """An encoder dictionary under an L1 penalty. Buffer: l1_factor, what `l1_weight` is multiplied by.

    With `config.l0_target` a controller steers the weight: in every step at full penalty log(l1_factor) moves by
    INTEGRAL_GAIN * log(L0 / target), the log clipped to [-1, 1], and the batch's own weight is further multiplied by
    (L0 / target) ** PROPORTIONAL_GAIN, but by e at most: early in training half of all features are active, and an
    answer in proportion would silence them for good. It is a proportional-integral controller, not a constrained
    optimum: L0 ends near the target, not on it, and the nearer the longer training lasts (hundreds of steps at least).
    The gains suit Adam's learning rates of 3e-4 and above; the slower the weights follow, the more L0 swings.
    A target above what the data needs may be missed from below, because features without anything to explain stay
    silent even without a penalty (ProLU's above all, whose bias has no gradient where a feature is silent). Its whole
    state is the buffer, so that a resumed run goes on as before; nothing in it waits for the device.
    """

    l1_factor: Tensor

    def add_feature_parameters(self) -> None:
        """The encoder's bias and the controller's state."""
        super().add_feature_parameters()
        self.register_buffer("l1_factor", torch.ones((), dtype=torch.float32))

    def l1_penalty(self, code_sum: Float[Tensor, ""], *, n_active: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The weighted penalty, in normalised units. code_sum: mean over the batch of the sum of what is penalised."""
        weight = self.config.l1_weight * self.l1_unit * self.l1_factor
        target = self.config.l0_target
        if target is not None and self.training:
            weight = weight * (PROPORTIONAL_GAIN * self._log_excess(n_active, target=target).clamp(max=1)).exp()
        return weight * code_sum

    @torch.no_grad()
    def steer(self, n_active: Float[Tensor, ""]) -> None:
        """Move the weight's factor towards the target L0."""
        target = self.config.l0_target
        if target is not None and self.training:
            self.l1_factor *= (INTEGRAL_GAIN * self._log_excess(n_active, target=target).clamp(-1, 1)).exp()

    def _log_excess(self, n_active: Tensor, *, target: float) -> Tensor:
        return (self.ranks.mean(n_active).clamp_min(1e-3) / target).log()
