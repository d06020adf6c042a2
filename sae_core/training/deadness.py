"""Detection and revival of dead features."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sae_core.trainable import TrainableDictionary

__all__ = ["FiringClock", "resample_dead"]

REVIVED_NORM_FRACTION = 0.2
"""Norm of a revived encoder row, relative to the live rows' mean norm (Bricken et al. 2023)."""


class FiringClock:
    """Activations since each feature last fired. n_silent_tokens: [n_features] int64."""

    def __init__(self, n_features: int, *, device: torch.device) -> None:
        self.n_silent_tokens = torch.zeros(n_features, dtype=torch.int64, device=device)

    def advance(self, fired: Bool[Tensor, " n_features"], *, n_tokens: int) -> None:
        self.n_silent_tokens += n_tokens
        self.n_silent_tokens.masked_fill_(fired, 0)

    def is_dead(self, after_tokens: int) -> Bool[Tensor, " n_features"]:
        """Features silent for at least `after_tokens`."""
        return self.n_silent_tokens >= after_tokens

    def restart(self, features: Int[Tensor, " n_revived"]) -> None:
        self.n_silent_tokens[features] = 0


@torch.no_grad()
def resample_dead(
    dictionary: TrainableDictionary,
    optimiser: torch.optim.Optimizer,
    *,
    is_dead: Bool[Tensor, " n_features"],
    x: Float[Tensor, "batch d_in"],
    error: Float[Tensor, "batch d_in"],
    draw: torch.Generator,
) -> Int[Tensor, " n_revived"]:
    """Point dead features at inputs drawn in proportion to their squared loss (Bricken et al. 2023, "Neuron
    Resampling").

    One input per feature, without replacement. Returns the revived features.
    """
    dead = is_dead.nonzero()[:, 0]
    weights = error.double().square().sum(dim=1).square().cpu()
    n_revived = min(dead.numel(), int((weights > 0).sum()))
    if n_revived == 0:
        return dead[:0]
    chosen = torch.multinomial(weights / weights.sum(), n_revived, replacement=False, generator=draw).to(x.device)
    features = dead[:n_revived]
    dictionary.revive(features, x=x, rows=chosen, norm_frac=REVIVED_NORM_FRACTION, is_dead=is_dead)
    for parameter in dictionary.feature_parameters:
        state = optimiser.state.get(parameter, {})
        for moment in ("exp_avg", "exp_avg_sq"):
            if moment in state:
                state[moment][features] = 0.0
    return features
