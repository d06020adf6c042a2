"""Dictionaries that keep a stated number of codes: the schedule of k, and the AuxK loss for dead features."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.config import DictionaryConfig
from sae_core.dictionary import SparseCode
from sae_core.encoder import ALL_FEATURES, EncoderDictionary, Features
from sae_core.sparse.codes import SelectedCodes
from sae_core.sparse.kernels import Selection, attach_encoder
from sae_core.sparse.selection import padded_code
from sae_core.trainable import TrainingPass

__all__ = ["CountedDictionary"]


class CountedDictionary(EncoderDictionary):
    """An encoder dictionary that keeps `k` codes per activation, in each or on average."""

    is_featurewise = False
    is_k_in_each_row: bool = True

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        draw: torch.Generator,
        sample: Float[Tensor, "n_sample d_in"] | None = None,
    ) -> None:
        super().__init__(config, d_in=d_in, draw=draw, sample=sample)
        self.k = config.k

    @abstractmethod
    def select(
        self, hidden: Float[Tensor, "batch d_hidden"], bias: Float[Tensor, " n_features"]
    ) -> tuple[Float[Tensor, " nnz"], Selection]:
        """The kept pre-activations, in row order, without gradient."""

    def rectify(self, pre: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.relu(pre)

    def observe(self, selected: Float[Tensor, " nnz"]) -> None:
        return

    def anneal(self, progress: float) -> None:
        start, end = self.config.k_start or self.config.k, self.config.k
        is_over = progress >= self.config.k_warmup_frac
        self.k = end if is_over else round(start + (end - start) * progress / self.config.k_warmup_frac)

    def finish(self) -> None:
        super().finish()
        self.k = self.config.k

    def rule_pass(self, hidden: Float[Tensor, "batch d_hidden"], carrier: Float[Tensor, " n_features"]) -> TrainingPass:
        bias = self.b_enc + carrier
        selected, selection = self.select(hidden, bias)
        self.observe(selected)
        attached = attach_encoder(selected, selection, hidden=hidden, weight=self.W_enc, bias=bias)
        return self.pass_of(SelectedCodes(self.rectify(attached), selection))

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        self.check_width(x)
        values, selection = self.select(self.hidden(x), self.b_enc)
        if not self.is_k_in_each_row:
            return padded_code(self.rectify(values), selection)
        return SparseCode(self.rectify(values).view(x.shape[0], self.k), selection.columns.view(x.shape[0], self.k))

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        return self.encode(x).to_dense(self.n_features)

    def encode_features(
        self, x: Float[Tensor, "batch d_in"], features: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "batch chosen"]:
        return self.encode_dense(x)[:, features]  # features compete, so all are computed

    def codes_of(
        self, hidden: Float[Tensor, "batch d_hidden"], features: Features = ALL_FEATURES
    ) -> Float[Tensor, "batch chosen"]:
        values, selection = self.select(hidden, self.b_enc)
        return padded_code(self.rectify(values), selection).to_dense(self.n_features)[:, features]

    def auxiliary_loss(
        self, x: Float[Tensor, "batch d_in"], reconstruction: Float[Tensor, "batch d_in"], dead: Int[Tensor, " n_dead"]
    ) -> Float[Tensor, ""] | None:
        """AuxK: squared error of the dead features on the residual, relative to its variance (Gao et al. 2024, appendix
        A.2)."""
        if self.config.auxk_weight == 0 or dead.numel() == 0:
            return None
        residual = (x - reconstruction).detach()
        # Gradients reach the dead features' encoder rows and directions, and nothing else.
        hidden, decoder = self.hidden(x).detach(), self.W_dec[dead]
        code = self.rectify(functional.linear(hidden, self.W_enc[dead], self.b_enc[dead]).to(x.dtype))
        k = min(self.config.auxk or max(1, self.d_in // 2), dead.numel())
        if k < dead.numel():
            columns = code.detach().abs().topk(k, dim=1, sorted=False).indices  # by size, for signed codes as well
            code = torch.zeros_like(code).scatter(1, columns, code.gather(1, columns))
        variance = self.ranks.total_variation(residual).clamp_min(1e-12)
        error = (code @ decoder).to(x.dtype) - residual
        return self.config.auxk_weight * error.square().sum() / variance
