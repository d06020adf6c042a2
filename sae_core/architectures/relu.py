"""The ReLU sparse autoencoder of Bricken et al. 2023: f = ReLU(W_e (x - b_d) + b_e), x_hat = f W_d + b_d.

Takes a configuration and a sample of activations (for b_d, the geometric median). The L1 penalty that makes it sparse
belongs to the loop. Knows nothing of optimisers or files.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.config import DictionaryConfig
from sae_core.geometric_median import geometric_median
from sae_core.kernels import attach_encoder, decode_selected, fired_features
from sae_core.selection import positive_fraction, select_positive
from sae_core.trainable import EncoderDictionary, TrainingPass

__all__ = ["ReluDictionary", "relu_training_pass"]

DENSEST_SPARSE_FRACTION = 0.07
"""Above this share of active codes plain dense products are faster than sparse gradients."""


class ReluDictionary(EncoderDictionary):
    """Bricken et al. 2023, "Sparse autoencoder setup"."""

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        draw: torch.Generator,
        sample: Float[Tensor, "n_sample d_in"] | None = None,
    ) -> None:
        super().__init__(config, d_in=d_in, d_hidden=d_in, draw=draw)
        with torch.no_grad():
            self.W_enc.copy_(self.W_dec * config.encoder_init_norm)
            if sample is not None:
                self.b_dec.copy_(geometric_median(sample))

    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_in"]:
        """The activations less the decoder's bias."""
        return x - self.b_dec

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        """Codes as a dense matrix, zeros included."""
        self.check_width(x)
        return torch.relu(functional.linear(self.hidden(x), self.W_enc, self.b_enc))

    def training_pass(self, x: Float[Tensor, "batch d_in"]) -> TrainingPass:
        """Reconstruction and sparsity of a batch; sparse gradients once few enough codes are active."""
        self.check_width(x)
        # b_dec's gradient through the subtraction is -(sum of the pre-activations' gradients) @ W_enc. Carried by the
        # bias it costs one matrix-vector product instead of a gradient for every activation.
        shift = functional.linear(self.b_dec - self.b_dec.detach(), self.W_enc.detach())
        return relu_training_pass(self, x - self.b_dec.detach(), self.b_enc - shift)


def relu_training_pass(
    dictionary: EncoderDictionary, hidden: Float[Tensor, "batch d_hidden"], bias: Float[Tensor, " n_features"]
) -> TrainingPass:
    """ReLU codes of `hidden` and their reconstruction, by the sparse or the dense path (same numbers)."""
    weight, decoder = dictionary.W_enc, dictionary.W_dec
    n_rows = hidden.shape[0]
    # On a GPU the number of active codes would have to be fetched first, and dense products are cheap there.
    if hidden.is_cuda or positive_fraction(hidden, weight, bias) > DENSEST_SPARSE_FRACTION:
        code = torch.relu(functional.linear(hidden, weight, bias))
        is_active = code.detach() > 0
        reconstruction = code @ decoder + dictionary.b_dec
        return dictionary.l1_pass(reconstruction, code.sum() / n_rows, is_active.sum() / n_rows, is_active.any(dim=0))
    selected, selection = select_positive(hidden, weight, bias)
    values = attach_encoder(selected, selection, hidden=hidden, weight=weight, bias=bias)
    reconstruction = decode_selected(values, selection, decoder=decoder) + dictionary.b_dec
    n_active = torch.tensor(values.numel() / n_rows, device=values.device)
    return dictionary.l1_pass(reconstruction, values.sum() / n_rows, n_active, fired_features(selected, selection))
