"""The ReLU sparse autoencoder of Bricken et al. 2023."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor, nn

from sae_core.architectures.penalised import PenalisedDictionary
from sae_core.encoder import ALL_FEATURES, Features
from sae_core.sparse.codes import DenseCodes, SelectedCodes
from sae_core.sparse.kernels import attach_encoder
from sae_core.sparse.rectified import rectify_and_decode
from sae_core.sparse.selection import is_selection_worthwhile, select_positive
from sae_core.trainable import TrainingPass

__all__ = ["ReluDictionary"]


class ReluDictionary(PenalisedDictionary):
    """f = ReLU(W_e (x - b_d) + b_e), x_hat = f W_d + b_d, under an L1 penalty ("Sparse autoencoder setup").

    With `config.is_tied`, W_e and W_d are one parameter with rows of norm 1 (Cunningham et al. 2023, equation 2).
    """

    def initialise_encoder(self, sample: Float[Tensor, "n_sample d_in"] | None, draw: torch.Generator) -> None:
        if self.config.is_tied:
            self.W_enc = self.W_dec
        else:
            super().initialise_encoder(sample, draw)

    @property
    def feature_parameters(self) -> list[nn.Parameter]:
        return [self.b_enc, self.W_dec] if self.config.is_tied else super().feature_parameters

    def revived_norm(self, norm: Float[Tensor, ""]) -> Float[Tensor, ""]:
        # a direction's
        return torch.ones_like(norm) if self.config.is_tied else norm

    @property
    def floor(self) -> Float[Tensor, " 1"]:
        return self.b_enc.new_zeros(1)

    def codes_of(
        self, hidden: Float[Tensor, "batch d_hidden"], features: Features = ALL_FEATURES
    ) -> Float[Tensor, "batch chosen"]:
        return torch.relu(self.pre_activations(hidden, features))

    def rule_pass(self, hidden: Float[Tensor, "batch d_hidden"], carrier: Float[Tensor, " n_features"]) -> TrainingPass:
        weight, bias = self.W_enc, self.b_enc + carrier
        if is_selection_worthwhile(hidden, weight, bias, floor=hidden.new_zeros(1)):
            selected, selection = select_positive(hidden, weight, bias)
            values = attach_encoder(selected, selection, hidden=hidden, weight=weight, bias=bias)
            codes = SelectedCodes(values, selection)
        elif torch.is_autocast_enabled(hidden.device.type):
            codes = DenseCodes(torch.relu(functional.linear(hidden, weight, bias).to(hidden.dtype)))
        else:
            return self._dense_pass(hidden, bias)
        return self.pass_of(codes, self.l1_penalty(codes.values.sum() / codes.n_rows, n_active=codes.n_active()))

    def _dense_pass(self, hidden: Tensor, bias: Tensor) -> TrainingPass:
        decoded = rectify_and_decode(hidden, self.W_enc, bias, decoder=self.W_dec)
        code_sum, n_active = decoded.code_sums.sum() / hidden.shape[0], decoded.n_active / hidden.shape[0]
        return TrainingPass(
            reconstruction=decoded.reconstruction + self.b_dec,
            code_sum=code_sum,
            n_active=n_active,
            fired=decoded.code_sums.detach() > 0,
            penalty=self.l1_penalty(code_sum, n_active=n_active),
        )
