"""Dictionaries as the training loop sees them.

Biases and thresholds are in the activations' own units; losses and the biases' learning rates in normalised units, in
which `input_scale` brings activations to mean norm sqrt(d_in).
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
    """One batch through a dictionary, with gradients."""

    reconstruction: Float[Tensor, "batch d_in"]
    code_sum: Float[Tensor, ""]  # batch mean of the codes' sum, in activation units
    n_active: Float[Tensor, ""]  # batch mean of L0
    fired: Bool[Tensor, " n_features"]
    penalty: Float[Tensor, ""]  # weighted, in normalised units, before warm-up
    partial_reconstructions: tuple[Float[Tensor, "batch d_in"], ...] = ()  # averaged with the full loss (Matryoshka)
    side_reconstructions: tuple[Float[Tensor, "batch d_in"], ...] = ()  # added to it (Gated)


class TrainableDictionary(Dictionary):
    """A dictionary with a decoder to learn. Parameters: W_dec [n_features, d_in], b_dec [d_in].

    State that changes in training must be a parameter or buffer.
    """

    input_scale: Tensor
    is_scale_fitted: bool = False
    """Whether `input_scale` was fitted; penalties are then relative to the mean norm."""
    ranks: Ranks = ALONE
    """Processes that train this dictionary; batch statistics go over all of them."""

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
        return self.W_dec

    @property
    def offset(self) -> Float[Tensor, " d_in"]:
        return self.b_dec

    @property
    def bias_parameters(self) -> list[nn.Parameter]:
        """Parameters in activation units."""
        return [parameter for name, parameter in self.named_parameters() if name.rpartition(".")[2].startswith("b_")]

    @property
    def feature_parameters(self) -> list[nn.Parameter]:
        """Parameters with one row per feature; reviving a feature clears their optimiser state."""
        return [self.W_dec]

    @property
    def scale(self) -> float | Float[Tensor, ""]:
        """`input_scale`, on a GPU as a tensor, so that no step waits for it."""
        return float(self.input_scale) if is_on_host(self.input_scale) else self.input_scale

    @property
    def log_parameters(self) -> list[nn.Parameter]:
        return [parameter for name, parameter in self.named_parameters() if name.rpartition(".")[2].startswith("log_")]

    @property
    def l1_unit(self) -> float | Float[Tensor, ""]:
        """Factor that makes a sum of codes relative to the activations' mean norm."""
        return self.scale / math.sqrt(self.d_in) if self.is_scale_fitted else 1.0

    def set_input_scale(self, scale: float) -> None:
        """Set the normalised units; thresholds keep their value in them."""
        self.scale_thresholds(float(self.input_scale) / scale)
        self.input_scale.fill_(scale)
        self.is_scale_fitted = True

    def scale_thresholds(self, factor: float) -> None:
        """Multiply whatever is in activation units, except biases, by `factor`."""
        return

    @torch.no_grad()
    def scale_units(self, factor: float) -> None:
        """Multiply biases and thresholds by `factor`: codes of equally scaled activations scale alike."""
        for bias in self.bias_parameters:
            bias.mul_(factor)
        self.scale_thresholds(factor)

    def anneal(self, progress: float) -> None:
        return

    def steer(self, n_active: Float[Tensor, ""]) -> None:
        """Adapt sparsity to the mean L0 of a step at full penalty."""
        return

    @abstractmethod
    def training_pass(self, x: Float[Tensor, "batch d_in"]) -> TrainingPass:
        """The pass of a batch."""

    def auxiliary_loss(
        self, x: Float[Tensor, "batch d_in"], reconstruction: Float[Tensor, "batch d_in"], dead: Int[Tensor, " n_dead"]
    ) -> Float[Tensor, ""] | None:
        """A unitless loss that revives `dead` features, or None."""
        return None

    @torch.no_grad()
    def normalise_decoder(self) -> None:
        """Scale each direction to norm 1; the published variant scales each input coordinate."""
        axis = 0 if self.config.published_decoder_norm else 1
        self.W_dec.div_(self.W_dec.norm(dim=axis, keepdim=True).clamp_min(1e-12))

    @torch.no_grad()
    def remove_parallel_gradient(self) -> None:
        """Remove each direction's gradient along itself (Bricken et al. 2023)."""
        # It would only change the norm, which `normalise_decoder` undoes, and upset Adam's moments.
        gradient = self.W_dec.grad
        if gradient is None or self.config.published_decoder_norm:
            return
        # In blocks of rows, so that what is computed on the way stays in the cache.
        for rows, directions in zip(gradient.split(1024), self.W_dec.split(1024), strict=True):
            rows.addcmul_((rows * directions).sum(dim=1, keepdim=True), directions, value=-1)

    @torch.no_grad()
    def finish(self) -> None:
        """Give directions norm 1 after training."""
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
