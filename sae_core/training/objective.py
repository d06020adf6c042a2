"""The training objective of one batch, in normalised units."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.config import TrainingConfig
from sae_core.trainable import TrainableDictionary, TrainingPass
from sae_core.training.losses import reconstruction_loss

__all__ = ["objective"]


def objective(
    dictionary: TrainableDictionary,
    x: Float[Tensor, "batch d_in"],
    *,
    config: TrainingConfig,
    penalty_share: float,
    dead: Int[Tensor, " n_dead"],
) -> tuple[TrainingPass, Float[Tensor, ""]]:
    """The batch's pass and float32 loss. penalty_share: warm-up factor of the penalty, 0 to 1.

    The loss is the mean over full and partial reconstructions, plus side reconstructions, penalty and auxiliary loss.
    """
    is_half = config.autocast == "bf16"
    with torch.autocast(x.device.type, torch.bfloat16, enabled=is_half):
        passed = _in_full_precision(dictionary.training_pass(x), x.dtype)

    # a partial and not a function: what is defined in a step would be checked anew in every step of a test
    loss_of = partial(reconstruction_loss, x, kind=config.loss, input_scale=dictionary.scale, ranks=dictionary.ranks)
    nested = [loss_of(each) for each in (passed.reconstruction, *passed.partial_reconstructions)]
    loss = torch.stack(nested).mean() + penalty_share * passed.penalty
    for side in passed.side_reconstructions:
        loss = loss + loss_of(side)
    if penalty_share >= 1:
        dictionary.steer(passed.n_active)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=is_half):
        auxiliary = dictionary.auxiliary_loss(x, passed.reconstruction, dead)
    return passed, loss if auxiliary is None else loss + auxiliary


def _in_full_precision(passed: TrainingPass, dtype: torch.dtype) -> TrainingPass:
    return passed._replace(
        reconstruction=passed.reconstruction.to(dtype),
        code_sum=passed.code_sum.to(dtype),
        n_active=passed.n_active.to(dtype),
        penalty=passed.penalty.to(dtype),
        partial_reconstructions=tuple(each.to(dtype) for each in passed.partial_reconstructions),
        side_reconstructions=tuple(each.to(dtype) for each in passed.side_reconstructions),
    )
