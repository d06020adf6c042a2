"""What the training loop needs of a dictionary: one differentiable pass, a unit-norm decoder, rows to revive.

All trainable dictionaries share the linear decoder (`W_dec`, one row per feature, and `b_dec`). Those with an encoder
(`EncoderDictionary`) end it in a linear layer (`W_enc`, `b_enc`) that reads a hidden vector; families differ in how the
hidden vector is made and in which pre-activations become codes. Knows nothing of optimisers, batches' origin or files.

Units: every bias and threshold is in the activations' own units, so the weights work on raw activations. `input_scale`
is the factor that gives activations mean norm sqrt(d_in); losses and the biases' learning rates are taken in those
normalised units (every rule here is homogeneous: scaling inputs, biases and thresholds scales codes), so nothing has to
be folded afterwards.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sae_core.config import DictionaryConfig
from sae_core.device import is_on_host
from sae_core.dictionary import Dictionary
from sae_core.distributed import ALONE, Ranks

__all__ = ["TrainableDictionary", "TrainingPass"]


class TrainingPass(NamedTuple):
    """One batch through a dictionary, with gradients.

    reconstruction: [batch, d_in]; code_sum: scalar, mean over the batch of the sum of the codes (L1), in activation
    units; n_active: scalar, mean number of active features; fired: [n_features], which were active at all; penalty:
    scalar, the sparsity penalty with its weight, in normalised units and before any warm-up; partial_reconstructions:
    further reconstructions whose losses count as much as the full one's (Matryoshka's prefixes); side_reconstructions:
    reconstructions whose losses are added on top (Gated's auxiliary one).
    """

    reconstruction: Float[Tensor, "batch d_in"]
    code_sum: Float[Tensor, ""]
    n_active: Float[Tensor, ""]
    fired: Bool[Tensor, " n_features"]
    penalty: Float[Tensor, ""]
    partial_reconstructions: tuple[Float[Tensor, "batch d_in"], ...] = ()
    side_reconstructions: tuple[Float[Tensor, "batch d_in"], ...] = ()


class TrainableDictionary(Dictionary):
    """A dictionary with a decoder to learn. Parameters: W_dec [n_features, d_in], b_dec [d_in]."""

    input_scale: Tensor
    is_scale_fitted: bool = False
    """Whether `input_scale` was fitted to a sample, so that penalties are taken relative to the mean norm."""
    ranks: Ranks = ALONE
    """The processes that train this dictionary together: statistics of a batch are to be taken over all of them
    (`ranks.mean`, `ranks.total_variation`). What changes in training and is no parameter belongs in a buffer."""

    def __init__(self, config: DictionaryConfig, *, d_in: int, draw: torch.Generator) -> None:
        super().__init__()
        if config.n_features is None:
            raise ValueError(f"n_features must be given for kind {config.kind!r}")
        self.config = config
        self.d_in = d_in
        self.n_features = config.n_features
        directions = functional.normalize(torch.randn(self.n_features, d_in, generator=draw), dim=1)
        self.W_dec = nn.Parameter(directions)
        self.b_dec = nn.Parameter(torch.zeros(d_in))
        self.register_buffer("input_scale", torch.ones((), dtype=torch.float32))

    @property
    def directions(self) -> Float[Tensor, "n_features d_in"]:
        """Unit-norm decoder direction per feature."""
        return self.W_dec

    @property
    def offset(self) -> Float[Tensor, " d_in"]:
        """What a code of zeros decodes to."""
        return self.b_dec

    @property
    def bias_parameters(self) -> list[nn.Parameter]:
        """The parameters measured in activation units; the others are free of units."""
        return [parameter for name, parameter in self.named_parameters() if name.rpartition(".")[2].startswith("b_")]

    @property
    def feature_parameters(self) -> list[nn.Parameter]:
        """The parameters with one row per feature, whose optimiser state is cleared when a feature is revived."""
        return [self.W_dec]

    @property
    def scale(self) -> float | Float[Tensor, ""]:
        """`input_scale` for use in a step: a number, but on a GPU the tensor itself, so that no step waits for it."""
        return float(self.input_scale) if is_on_host(self.input_scale) else self.input_scale

    @property
    def log_parameters(self) -> list[nn.Parameter]:
        """The parameters that are logarithms of what they stand for."""
        return [parameter for name, parameter in self.named_parameters() if name.rpartition(".")[2].startswith("log_")]

    @property
    def l1_unit(self) -> float | Float[Tensor, ""]:
        """What a sum of codes is multiplied by to stand relative to the activations' mean norm."""
        return self.scale / math.sqrt(self.d_in) if self.is_scale_fitted else 1.0

    def set_input_scale(self, scale: float) -> None:
        """Fit the normalised units to the activations; thresholds keep their value in those units."""
        self.scale_thresholds(float(self.input_scale) / scale)
        self.input_scale.fill_(scale)
        self.is_scale_fitted = True

    def scale_thresholds(self, factor: float) -> None:
        """Multiply what is in activation units and no bias (thresholds) by `factor`; most dictionaries have none."""
        return

    @torch.no_grad()
    def scale_units(self, factor: float) -> None:
        """Multiply all biases and thresholds by `factor`: activations `factor` times as large then have codes so much
        larger, and else the same."""
        for bias in self.bias_parameters:
            bias.mul_(factor)
        self.scale_thresholds(factor)

    def anneal(self, progress: float) -> None:
        """Set what follows a schedule of its own (k, a temperature) for this share of training done."""
        return

    def steer(self, n_active: Float[Tensor, ""]) -> None:
        """Learn how many features were active in a step at full penalty; sparsity controllers act on it."""
        return

    @abstractmethod
    def training_pass(self, x: Float[Tensor, "batch d_in"]) -> TrainingPass:
        """Reconstruction and sparsity of a batch, differentiable in every parameter."""

    def auxiliary_loss(
        self, x: Float[Tensor, "batch d_in"], reconstruction: Float[Tensor, "batch d_in"], dead: Int[Tensor, " n_dead"]
    ) -> Float[Tensor, ""] | None:
        """A further loss (in no units) that keeps the `dead` features alive, or None."""
        return None

    @torch.no_grad()
    def normalise_decoder(self) -> None:
        """Give every feature's direction norm 1; the published variant does so per input coordinate instead."""
        axis = 0 if self.config.published_decoder_norm else 1
        self.W_dec.div_(self.W_dec.norm(dim=axis, keepdim=True).clamp_min(1e-12))

    @torch.no_grad()
    def remove_parallel_gradient(self) -> None:
        """Remove from each direction's gradient its component along the direction (Bricken et al. 2023).

        That component would only change the norm, which `normalise_decoder` undoes, and would upset Adam's moments.
        """
        gradient = self.W_dec.grad
        if gradient is None or self.config.published_decoder_norm:
            return
        # In blocks of rows, so that what is computed on the way stays in the cache.
        for rows, directions in zip(gradient.split(1024), self.W_dec.split(1024), strict=True):
            rows.addcmul_((rows * directions).sum(dim=1, keepdim=True), directions, value=-1)

    @torch.no_grad()
    def finish(self) -> None:
        """After training: give the directions norm 1, and fold whatever norms they had into the codes."""
        self.normalise_decoder()

    @abstractmethod
    def revive(
        self,
        features: Int[Tensor, " n_revived"],
        *,
        x: Float[Tensor, "batch d_in"],
        rows: Int[Tensor, " n_revived"],
        norm_frac: float,
        is_dead: Bool[Tensor, " n_features"],
    ) -> None:
        """Point dead `features` at the `rows` of the batch `x`, one each."""
