"""The MLP-encoder autoencoder of O'Neill, Gumran and Klindt (arXiv 2411.13117): hidden ReLU layers before the codes.

The decoder is the same linear one as of the sparse autoencoders, with unit-norm directions. Takes a configuration and
a sample of activations. Knows nothing of optimisers or files.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor, nn

from sae_core.architectures.relu import relu_training_pass
from sae_core.config import DictionaryConfig
from sae_core.geometric_median import geometric_median
from sae_core.trainable import EncoderDictionary, TrainingPass

__all__ = ["HiddenLayer", "MlpDictionary"]


class HiddenLayer(nn.Module):
    """One hidden layer: h = ReLU(W_hidden x + b_hidden). W_hidden: [width_out, width_in]."""

    def __init__(self, width_in: int, width_out: int, *, draw: torch.Generator) -> None:
        super().__init__()
        self.W_hidden = nn.Parameter(torch.randn(width_out, width_in, generator=draw) * math.sqrt(2 / width_in))
        self.b_hidden = nn.Parameter(torch.zeros(width_out))

    def forward(self, x: Float[Tensor, "batch width_in"]) -> Float[Tensor, "batch width_out"]:
        """The layer's activations."""
        return torch.relu(functional.linear(x, self.W_hidden, self.b_hidden))


class MlpDictionary(EncoderDictionary):
    """f = ReLU(W_e h + b_e) with h the hidden layers' output for x - b_d; x_hat = f W_d + b_d (section 3)."""

    is_hidden_centred = False

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        draw: torch.Generator,
        sample: Float[Tensor, "n_sample d_in"] | None = None,
    ) -> None:
        super().__init__(config, d_in=d_in, d_hidden=config.hidden[-1], draw=draw)
        widths = (d_in, *config.hidden)
        self.layers = nn.ModuleList(
            HiddenLayer(width_in, width_out, draw=draw)
            for width_in, width_out in zip(widths, config.hidden, strict=False)
        )
        with torch.no_grad():
            rows = sample if sample is not None else torch.randn(1024, d_in, generator=draw)
            if sample is not None:
                self.b_dec.copy_(geometric_median(sample))
            # An encoder row starts where the hidden layers send its feature's direction. Hidden vectors are never
            # negative and share a large mean: unless it is taken off, most features start always on or always off.
            centre = self.hidden(rows).mean(dim=0)
            typical_norm = (rows - self.b_dec).norm(dim=1).mean()
            hidden = self.hidden(self.b_dec + typical_norm * self.W_dec) - centre
            self.W_enc.copy_(functional.normalize(hidden, dim=1) * config.encoder_init_norm)
            self.b_enc.copy_(-(self.W_enc @ centre))

    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_hidden"]:
        """The last hidden layer's output."""
        h = x - self.b_dec
        for layer in self.layers:
            h = layer(h)
        return h

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        """Codes as a dense matrix, zeros included."""
        self.check_width(x)
        return torch.relu(functional.linear(self.hidden(x), self.W_enc, self.b_enc))

    def training_pass(self, x: Float[Tensor, "batch d_in"]) -> TrainingPass:
        """Reconstruction and sparsity of a batch; sparse gradients once few enough codes are active."""
        self.check_width(x)
        return relu_training_pass(self, self.hidden(x), self.b_enc)
