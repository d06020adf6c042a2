"""What the training loop needs of a dictionary: one differentiable pass, a unit-norm decoder, rows to revive.

All trainable dictionaries share the linear decoder (`W_dec`, one row per feature, and `b_dec`). Those with an encoder
(`EncoderDictionary`) end it in a linear layer (`W_enc`, `b_enc`) that reads a hidden vector; families differ in how the
hidden vector is made and in which pre-activations become codes. Knows nothing of optimisers, batches' origin or files.

Units: every bias is in the activations' own units, so the weights work on raw activations. `input_scale` is the factor
that gives activations mean norm sqrt(d_in); losses and the biases' learning rates are taken in those normalised units
(a ReLU network is homogeneous: scaling inputs and biases scales codes), so nothing has to be folded afterwards.
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
from sae_core.dictionary import Dictionary

__all__ = ["EncoderDictionary", "TrainableDictionary", "TrainingPass"]


class TrainingPass(NamedTuple):
    """One batch through a dictionary, with gradients.

    reconstruction: [batch, d_in]; code_sum: scalar, mean over the batch of the sum of the codes (L1), in activation
    units; n_active: scalar, mean number of active features; fired: [n_features], which were active at all; penalty:
    scalar, the sparsity penalty with its weight, in normalised units and before any warm-up; partial_reconstructions:
    further reconstructions whose losses count as much as the full one's (Matryoshka's prefixes).
    """

    reconstruction: Float[Tensor, "batch d_in"]
    code_sum: Float[Tensor, ""]
    n_active: Float[Tensor, ""]
    fired: Bool[Tensor, " n_features"]
    penalty: Float[Tensor, ""]
    partial_reconstructions: tuple[Float[Tensor, "batch d_in"], ...] = ()


class TrainableDictionary(Dictionary):
    """A dictionary with a decoder to learn. Parameters: W_dec [n_features, d_in], b_dec [d_in]."""

    input_scale: Tensor
    is_scale_fitted: bool = False
    """Whether `input_scale` was fitted to a sample, so that penalties are taken relative to the mean norm."""

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
    def l1_unit(self) -> float:
        """What a sum of codes is multiplied by to stand relative to the activations' mean norm."""
        return float(self.input_scale) / math.sqrt(self.d_in) if self.is_scale_fitted else 1.0

    def anneal(self, progress: float) -> None:
        """Set what follows a schedule of its own (k, a temperature) for this share of training done."""
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
        gradient.sub_((gradient * self.W_dec).sum(dim=1, keepdim=True) * self.W_dec)

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


class EncoderDictionary(TrainableDictionary):
    """A dictionary whose encoder ends in a linear layer. Further parameters: W_enc [n_features, d_hidden], b_enc."""

    is_hidden_centred: bool = True
    """Whether the hidden vector is the activation less `b_dec`, so that an encoder row meets it on both sides of 0."""

    def __init__(self, config: DictionaryConfig, *, d_in: int, d_hidden: int, draw: torch.Generator) -> None:
        super().__init__(config, d_in=d_in, draw=draw)
        self.W_enc = nn.Parameter(torch.zeros(self.n_features, d_hidden))
        self.b_enc = nn.Parameter(torch.zeros(self.n_features))

    @abstractmethod
    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_hidden"]:
        """What the last encoder layer reads."""

    @property
    def feature_parameters(self) -> list[nn.Parameter]:
        """The parameters with one row per feature, whose optimiser state is cleared when a feature is revived."""
        return [self.W_enc, self.b_enc, self.W_dec]

    def l1_pass(
        self,
        reconstruction: Float[Tensor, "batch d_in"],
        code_sum: Float[Tensor, ""],
        n_active: Float[Tensor, ""],
        fired: Bool[Tensor, " n_features"],
    ) -> TrainingPass:
        """A training pass whose penalty is L1: the configured weight times the codes' mean sum."""
        penalty = self.config.l1_weight * self.l1_unit * code_sum
        return TrainingPass(reconstruction, code_sum, n_active, fired, penalty)

    @torch.no_grad()
    def finish(self) -> None:
        """After training: fold whatever norms the directions have into the encoder, leaving them at norm 1."""
        norms = self.W_dec.norm(dim=1, keepdim=True).clamp_min(1e-12)
        if self.config.published_decoder_norm:
            self.W_enc.mul_(norms)
            self.b_enc.mul_(norms[:, 0])
        self.W_dec.div_(norms)

    @torch.no_grad()
    def revive(
        self,
        features: Int[Tensor, " n_revived"],
        *,
        x: Float[Tensor, "batch d_in"],
        rows: Int[Tensor, " n_revived"],
        norm_frac: float,
        is_dead: Bool[Tensor, " n_features"],
    ) -> None:
        """Point dead `features` at the `rows` of the batch `x`, one each; encoder rows get `norm_frac` of the live
        rows' mean norm.

        The direction is the input less `b_dec`; the encoder row is what the last layer reads of it, less its centre,
        and the bias puts the centre at 0 (bias 0 where the hidden vector is centred already): so the feature is sure to
        fire there, and not everywhere. Bricken et al. 2023, "Neuron Resampling".
        """
        norms = self.W_enc.norm(dim=1)
        # A masked mean, not an index: no wait for the device.
        n_live = (~is_dead).sum()
        live_norm = torch.where(n_live > 0, (norms * ~is_dead).sum() / n_live.clamp_min(1), norms.mean())
        hidden = self.hidden(x)
        centre = torch.zeros_like(hidden[0]) if self.is_hidden_centred else hidden.mean(dim=0)
        encoder = functional.normalize(hidden[rows] - centre, dim=1) * live_norm * norm_frac
        self.W_dec[features] = functional.normalize(x[rows] - self.b_dec, dim=1)
        self.W_enc[features] = encoder
        self.b_enc[features] = -(encoder @ centre)
