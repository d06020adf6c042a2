"""The TopK sparse autoencoder of Gao et al. 2024 (arXiv 2406.04093): only the k largest pre-activations become codes.

Takes a configuration and a sample of activations (for b_d, the geometric median). AuxK keeps features alive. Knows
nothing of optimisers or files.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.config import DictionaryConfig
from sae_core.dictionary import SparseCode
from sae_core.geometric_median import geometric_median
from sae_core.kernels import attach_encoder, decode_selected, fired_features
from sae_core.selection import select_top_k
from sae_core.trainable import EncoderDictionary, TrainingPass

__all__ = ["TopKDictionary"]


class TopKDictionary(EncoderDictionary):
    """z = ReLU(TopK(W_e (x - b_d) + b_e)), x_hat = z W_d + b_d (Gao et al. 2024, section 2.3)."""

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        draw: torch.Generator,
        sample: Float[Tensor, "n_sample d_in"] | None = None,
    ) -> None:
        super().__init__(config, d_in=d_in, d_hidden=d_in, draw=draw)
        self.k = config.k
        with torch.no_grad():
            self.W_enc.copy_(self.W_dec * config.encoder_init_norm)
            if sample is not None:
                self.b_dec.copy_(geometric_median(sample))

    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_in"]:
        """The activations less the decoder's bias."""
        return x - self.b_dec

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        """The k largest pre-activations of each row; those that are not positive count as 0."""
        self.check_width(x)
        values, selection = select_top_k(self.hidden(x), self.W_enc, self.b_enc, k=self.k)
        return SparseCode(torch.relu(values).view(-1, self.k), selection.columns.view(-1, self.k))

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        """Codes as a dense matrix, zeros included."""
        return self.encode(x).to_dense(self.n_features)

    def training_pass(self, x: Float[Tensor, "batch d_in"]) -> TrainingPass:
        """Reconstruction and sparsity of a batch, with gradients through the selected codes only."""
        self.check_width(x)
        n_rows = x.shape[0]
        # As in the ReLU family: b_dec's gradient through the subtraction rides on the bias.
        shift = functional.linear(self.b_dec - self.b_dec.detach(), self.W_enc.detach())
        hidden, bias = x - self.b_dec.detach(), self.b_enc - shift
        selected, selection = select_top_k(hidden, self.W_enc, bias, k=self.k)
        attached = attach_encoder(selected, selection, hidden=hidden, weight=self.W_enc, bias=bias)
        values = torch.relu(attached)
        reconstruction = decode_selected(values, selection, decoder=self.W_dec) + self.b_dec
        n_active = (selected > 0).sum() / n_rows
        code_sum = values.sum() / n_rows
        no_penalty = torch.zeros_like(code_sum)
        return TrainingPass(reconstruction, code_sum, n_active, fired_features(selected, selection), no_penalty)

    def auxiliary_loss(
        self, x: Float[Tensor, "batch d_in"], reconstruction: Float[Tensor, "batch d_in"], dead: Int[Tensor, " n_dead"]
    ) -> Float[Tensor, ""] | None:
        """AuxK: dead features' share of the residual, relative to its variance (Gao et al. 2024, appendix A.2).

        The residual is a target (no gradient), the dead features' pre-activations are not: the loss trains their
        encoder rows as well as their directions.
        """
        if self.config.auxk_weight == 0 or dead.numel() == 0:
            return None
        residual = (x - reconstruction).detach()
        weight, bias, decoder = self.W_enc[dead], self.b_enc[dead], self.W_dec[dead]
        code = torch.relu(functional.linear(x - self.b_dec.detach(), weight, bias))
        k = min(self.config.auxk or max(1, self.d_in // 2), dead.numel())
        if k < dead.numel():
            values, columns = code.topk(k, dim=1, sorted=False)
            code = torch.zeros_like(code).scatter(1, columns, values)
        variance = (residual - residual.mean(dim=0)).square().sum().clamp_min(1e-12)
        return self.config.auxk_weight * (code @ decoder - residual).square().sum() / variance
