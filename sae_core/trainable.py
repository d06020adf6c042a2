"""What the training loop needs of a dictionary: one differentiable pass, a unit-norm decoder, rows to revive.

All trainable dictionaries share the linear decoder (`W_dec`, one row per feature, and `b_dec`) and end their encoder
in a linear layer (`W_enc`, `b_enc`) that reads a hidden vector; families differ in how the hidden vector is made and
in which pre-activations become codes. Knows nothing of optimisers, batches' origin or files.

Units: every bias is in the activations' own units, so the weights work on raw activations. `input_scale` is the factor
that gives activations mean norm sqrt(d_in); losses and the biases' learning rates are taken in those normalised units
(a ReLU network is homogeneous: scaling inputs and biases scales codes), so nothing has to be folded afterwards.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary

__all__ = ["TrainableDictionary", "TrainingPass"]


class TrainingPass(NamedTuple):
    """One batch through a dictionary, with gradients.

    reconstruction: [batch, d_in]; code_sum: scalar, mean over the batch of the sum of the codes (L1), in activation
    units; n_active: scalar, mean number of active features; fired: [n_features], which were active at all.
    """

    reconstruction: Float[Tensor, "batch d_in"]
    code_sum: Float[Tensor, ""]
    n_active: Float[Tensor, ""]
    fired: Bool[Tensor, " n_features"]


class TrainableDictionary(Dictionary):
    """A dictionary with weights. Parameters: W_enc [n_features, d_hidden], b_enc, W_dec [n_features, d_in], b_dec."""

    has_l1_penalty: bool = True
    is_hidden_centred: bool = True
    """Whether the hidden vector is the activation less `b_dec`, so that an encoder row meets it on both sides of 0."""
    input_scale: Tensor

    def __init__(self, config: DictionaryConfig, *, d_in: int, d_hidden: int, draw: torch.Generator) -> None:
        super().__init__()
        if config.n_features is None:
            raise ValueError(f"n_features must be given for kind {config.kind!r}")
        self.config = config
        self.d_in = d_in
        self.n_features = config.n_features
        directions = functional.normalize(torch.randn(self.n_features, d_in, generator=draw), dim=1)
        self.W_dec = nn.Parameter(directions)
        self.b_dec = nn.Parameter(torch.zeros(d_in))
        self.W_enc = nn.Parameter(torch.zeros(self.n_features, d_hidden))
        self.b_enc = nn.Parameter(torch.zeros(self.n_features))
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

    @abstractmethod
    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_hidden"]:
        """What the last encoder layer reads."""

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
        norm: float,
    ) -> None:
        """Point dead `features` at the `rows` of the batch `x`, one each, with encoder rows of norm `norm`.

        The direction is the input less `b_dec`; the encoder row is what the last layer reads of it, less its centre,
        and the bias puts the centre at 0 (bias 0 where the hidden vector is centred already): so the feature is sure to
        fire there, and not everywhere. Bricken et al. 2023, "Neuron Resampling".
        """
        hidden = self.hidden(x)
        centre = torch.zeros_like(hidden[0]) if self.is_hidden_centred else hidden.mean(dim=0)
        encoder = functional.normalize(hidden[rows] - centre, dim=1) * norm
        self.W_dec[features] = functional.normalize(x[rows] - self.b_dec, dim=1)
        self.W_enc[features] = encoder
        self.b_enc[features] = -(encoder @ centre)
