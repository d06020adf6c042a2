"""The MLP-encoder autoencoder of O'Neill, Gumran and Klindt (arXiv 2411.13117): hidden ReLU layers before the codes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor, nn

from sae_core.architectures.jumprelu import JumpReluDictionary
from sae_core.architectures.relu import ReluDictionary
from sae_core.architectures.topk import TopKDictionary
from sae_core.config import MlpOutput
from sae_core.encoder import EncoderDictionary

__all__ = ["MLP_FAMILIES", "HiddenLayer", "MlpDictionary"]

HIDDEN_MEAN_RATE = 0.05
"""Weight of a new batch in the running mean of the hidden vectors."""


class HiddenLayer(nn.Module):
    """h = ReLU(W_hidden x + b_hidden). W_hidden: [width_out, width_in]."""

    def __init__(self, width_in: int, width_out: int, *, draw: torch.Generator) -> None:
        super().__init__()
        self.W_hidden = nn.Parameter(torch.randn(width_out, width_in, generator=draw) * math.sqrt(2 / width_in))
        self.b_hidden = nn.Parameter(torch.zeros(width_out))

    def forward(self, x: Float[Tensor, "batch width_in"]) -> Float[Tensor, "batch width_out"]:
        return torch.relu(functional.linear(x, self.W_hidden, self.b_hidden).to(x.dtype))


class MlpDictionary(EncoderDictionary):
    """z = W_e h + b_e, h the hidden layers' output for x - b_d (section 3); another parent class turns z into codes.

    With `config.centre_hidden`, h is what is left after subtracting the buffer hidden_mean [d_hidden].
    """

    hidden_mean: Tensor
    b_enc: Tensor

    @property
    def is_hidden_centred(self) -> bool:
        return self.config.centre_hidden

    def add_hidden_layers(self, draw: torch.Generator) -> int:
        widths = (self.d_in, *self.config.hidden)
        self.layers = nn.ModuleList(
            HiddenLayer(width_in, width_out, draw=draw)
            for width_in, width_out in zip(widths, self.config.hidden, strict=False)
        )
        return widths[-1]

    def initialise_encoder(self, sample: Float[Tensor, "n_sample d_in"] | None, draw: torch.Generator) -> None:
        """Start an encoder row where the hidden layers send its feature's direction."""
        rows = sample if sample is not None else torch.randn(1024, self.d_in, generator=draw)
        # Hidden vectors are never negative: with their large mean left in, most features start always on or always off.
        centre = self.hidden(rows).mean(dim=0)
        typical_norm = (rows - self.b_dec).norm(dim=1).mean()
        hidden = self.hidden(self.b_dec + typical_norm * self.W_dec) - centre
        self.W_enc.copy_(functional.normalize(hidden, dim=1) * self.config.encoder_init_norm)
        if self.config.centre_hidden:
            self.hidden_mean.copy_(centre)
        else:
            self.b_enc.copy_(-(self.W_enc @ centre))

    def add_feature_parameters(self) -> None:
        super().add_feature_parameters()
        if self.config.centre_hidden:
            self.register_buffer("hidden_mean", torch.zeros(self.W_enc.shape[1]))

    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_hidden"]:
        h = x - self.b_dec
        for layer in self.layers:
            h = layer(h)
        return h - self.hidden_mean if self.config.centre_hidden else h

    def read(
        self, x: Float[Tensor, "batch d_in"]
    ) -> tuple[Float[Tensor, "batch d_hidden"], Float[Tensor, " n_features"]]:
        h = self.hidden(x)
        if self.config.centre_hidden and self.training:
            h = h - self._follow_mean(h)
        return h, torch.zeros_like(self.b_enc)  # the hidden vectors carry b_dec's gradient themselves

    @torch.no_grad()
    def _follow_mean(self, h: Float[Tensor, "batch d_hidden"]) -> Float[Tensor, " d_hidden"]:
        """Move `hidden_mean` towards that of a batch, and the biases so that codes stay; returns the move."""
        # Hidden vectors are never negative. Uncentred, a step of Adam moves a row's weights all one way and its
        # pre-activations by many times their spread: under a penalty features fall silent together, for good.
        move = HIDDEN_MEAN_RATE * self.ranks.mean(h.mean(dim=0))
        self.hidden_mean += move
        self.b_enc += self.W_enc @ move
        return move

    @torch.no_grad()
    def scale_units(self, factor: float) -> None:
        super().scale_units(factor)
        if self.config.centre_hidden:
            self.hidden_mean.mul_(factor)


class MlpReluDictionary(MlpDictionary, ReluDictionary):
    """Hidden layers under the ReLU rule, as in the paper."""


class MlpTopKDictionary(MlpDictionary, TopKDictionary):
    """Hidden layers under the TopK rule."""


class MlpJumpReluDictionary(MlpDictionary, JumpReluDictionary):
    """Hidden layers under the JumpReLU rule."""


MLP_FAMILIES: dict[MlpOutput, type[MlpDictionary]] = {
    "relu": MlpReluDictionary,
    "topk": MlpTopKDictionary,
    "jumprelu": MlpJumpReluDictionary,
}
