"""What training minimises: reconstruction, sparsity penalty and auxiliary loss of one batch, in normalised units.

Takes a dictionary, a batch and how far the schedules are; gives the pass and its loss. Knows nothing of optimisers.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.config import TrainingConfig
from sae_core.losses import reconstruction_loss
from sae_core.trainable import TrainableDictionary, TrainingPass

__all__ = ["objective"]


def objective(
    dictionary: TrainableDictionary,
    x: Float[Tensor, "batch d_in"],
    *,
    config: TrainingConfig,
    penalty_share: float,
    dead: Int[Tensor, " n_dead"],
) -> tuple[TrainingPass, Float[Tensor, ""]]:
    """The batch's pass and its loss. penalty_share: how much of the penalty applies yet (its warm-up), 0 to 1.

    The reconstruction loss is the mean over the full reconstruction and the partial ones.
    """
    scale = float(dictionary.input_scale)
    passed = dictionary.training_pass(x)
    reconstructions = (passed.reconstruction, *passed.partial_reconstructions)
    losses = [reconstruction_loss(x, each, kind=config.loss, input_scale=scale) for each in reconstructions]
    loss = torch.stack(losses).mean() + penalty_share * passed.penalty
    auxiliary = dictionary.auxiliary_loss(x, passed.reconstruction, dead)
    return passed, loss if auxiliary is None else loss + auxiliary
