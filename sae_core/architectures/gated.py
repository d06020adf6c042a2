"""The Gated sparse autoencoder of Rajamanoharan et al. 2024 (arXiv 2404.16014): active features and magnitudes
apart."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor, nn

from sae_core.architectures.penalised import PenalisedDictionary
from sae_core.encoder import ALL_FEATURES, Features
from sae_core.sparse.codes import BatchCodes, DenseCodes, SelectedCodes
from sae_core.sparse.kernels import attach_encoder
from sae_core.sparse.selection import is_selection_worthwhile, select_above
from sae_core.trainable import TrainingPass

__all__ = ["GatedDictionary"]


class GatedDictionary(PenalisedDictionary):
    """f = 1[pi > 0] * ReLU(exp(r_mag) * u + b_mag), pi = u + b_gate, u = W_e (x - b_d) (equations 5 to 7).

    The loss (equation 8) adds an L1 penalty on ReLU(pi) and the error of its reconstruction through a frozen decoder.
    Parameters: W_enc; b_gate, b_mag, r_mag, each [n_features].
    """

    def add_feature_parameters(self) -> None:
        super().add_feature_parameters()
        del self.b_enc
        for name in ("b_gate", "b_mag", "r_mag"):
            self.register_parameter(name, nn.Parameter(torch.zeros(self.n_features)))

    b_gate: nn.Parameter
    b_mag: nn.Parameter
    r_mag: nn.Parameter

    @property
    def feature_parameters(self) -> list[nn.Parameter]:
        return [self.W_enc, self.b_gate, self.b_mag, self.r_mag, self.W_dec]

    def codes_of(
        self, hidden: Float[Tensor, "batch d_hidden"], features: Features = ALL_FEATURES
    ) -> Float[Tensor, "batch chosen"]:
        product = functional.linear(hidden, self.W_enc[features]).to(hidden.dtype)
        magnitude = torch.relu(product * self.r_mag[features].exp() + self.b_mag[features])
        return torch.where(product + self.b_gate[features] > 0, magnitude, 0.0)

    def rule_pass(self, hidden: Float[Tensor, "batch d_hidden"], carrier: Float[Tensor, " n_features"]) -> TrainingPass:
        weight, floor = self.W_enc, -self.b_gate.detach()  # below it codes and gate values are 0
        if is_selection_worthwhile(hidden, weight, carrier.detach(), floor=floor):
            products, selection = select_above(hidden, weight, carrier.detach(), floor=floor)
            product = attach_encoder(products, selection, hidden=hidden, weight=weight, bias=carrier)
            ratio, b_mag, b_gate = (p.index_select(0, selection.columns) for p in (self.r_mag, self.b_mag, self.b_gate))
            magnitudes = SelectedCodes(torch.relu(product * ratio.exp() + b_mag), selection)
            gates = SelectedCodes(product + b_gate, selection)
        else:
            product = functional.linear(hidden, weight, carrier).to(hidden.dtype)
            magnitude = torch.relu(product * self.r_mag.exp() + self.b_mag)
            is_open = product.detach() > floor
            magnitudes = DenseCodes(torch.where(is_open, magnitude, 0.0))
            gates = DenseCodes(torch.where(is_open, product + self.b_gate, 0.0))
        return self._pass_with_gates(magnitudes, gates)

    def _pass_with_gates(self, magnitudes: BatchCodes, gates: BatchCodes) -> TrainingPass:
        penalty = self.l1_penalty(gates.values.sum() / gates.n_rows, n_active=magnitudes.n_active())
        side = gates.decode(self.W_dec.detach()) + self.b_dec.detach()
        return self.pass_of(magnitudes, penalty)._replace(side_reconstructions=(side,))

    def fire_above(self, features: Int[Tensor, " chosen"], level: Float[Tensor, " chosen"]) -> None:
        self.b_gate[features] = -level
        self.b_mag[features] = -level

    def revive_rule(
        self,
        features: Int[Tensor, " n_revived"],
        *,
        level: Float[Tensor, " n_revived"],
        height: Float[Tensor, " n_revived"],
    ) -> None:
        super().revive_rule(features, level=level, height=height)
        self.r_mag[features] = 0.0
