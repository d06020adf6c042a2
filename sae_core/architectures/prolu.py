"""The ProLU sparse autoencoder of Taggart 2024 ("ProLU: A Nonlinearity for Sparse Autoencoders")."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.penalised import PenalisedDictionary
from sae_core.encoder import ALL_FEATURES, Features
from sae_core.sparse.codes import DenseCodes, SelectedCodes
from sae_core.sparse.kernels import attach_encoder
from sae_core.sparse.selection import is_selection_worthwhile, select_above
from sae_core.trainable import TrainingPass

__all__ = ["ProluDictionary"]


class ProluDictionary(PenalisedDictionary):
    """f = m * 1[m > 0 and m + b_e > 0], m = W_e (x - b_d), under an L1 penalty.

    b_e gets the gradient of ReLU(m + b_e) ("ProLU_ReLU").
    """

    def codes_of(
        self, hidden: Float[Tensor, "batch d_hidden"], features: Features = ALL_FEATURES
    ) -> Float[Tensor, "batch chosen"]:
        product = functional.linear(hidden, self.W_enc[features]).to(hidden.dtype)
        return torch.where(product > self._floor()[features], product, 0.0)

    def rule_pass(self, hidden: Float[Tensor, "batch d_hidden"], carrier: Float[Tensor, " n_features"]) -> TrainingPass:
        weight, bias, floor = self.W_enc, self.b_enc + carrier, self._floor()
        no_bias = torch.zeros_like(floor)
        if is_selection_worthwhile(hidden, weight, no_bias, floor=floor):
            products, selection = select_above(hidden, weight, no_bias, floor=floor)
            # The bias takes the products' gradients without having been added to them.
            values = attach_encoder(products, selection, hidden=hidden, weight=weight, bias=bias)
            codes = SelectedCodes(values, selection)
        else:
            product = functional.linear(hidden, weight, bias - bias.detach()).to(hidden.dtype)
            codes = DenseCodes(torch.where(product.detach() > floor, product, 0.0))
        return self.pass_of(codes, self.l1_penalty(codes.values.sum() / codes.n_rows, n_active=codes.n_active()))

    def _floor(self) -> Tensor:
        return (-self.b_enc.detach()).clamp_min(0)
