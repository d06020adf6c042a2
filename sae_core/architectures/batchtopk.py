"""The BatchTopK sparse autoencoder of Bussmann, Leask and Nanda 2024 (arXiv 2412.06410): k codes on average."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.architectures.counted import CountedDictionary
from sae_core.dictionary import SparseCode
from sae_core.encoder import ALL_FEATURES, EncoderDictionary, Features
from sae_core.sparse.kernels import Selection
from sae_core.sparse.selection import select_batch_top_k

__all__ = ["BatchTopKDictionary"]

THRESHOLD_RATE = 0.02
"""Weight of a new batch in the running mean of the smallest selected value."""

NOT_LEARNED = -1.0
"""Threshold before training; a learned one is positive."""


class BatchTopKDictionary(CountedDictionary):
    """z = BatchTopK(W_e (x - b_d) + b_e) (section 3); at inference z = v * 1[v > threshold] (equations 5 and 6).

    Buffer: threshold, scalar, the running mean of a training batch's smallest positive selected value, in activation
    units. Before it is learned, and in training mode, an activation's code depends on its batch.
    """

    is_k_in_each_row = False
    threshold: Tensor

    def add_feature_parameters(self) -> None:
        super().add_feature_parameters()
        self.register_buffer("threshold", torch.full((), NOT_LEARNED, dtype=torch.float32))

    @property
    def is_batch_ruled(self) -> bool:
        return self.training or float(self.threshold) < 0

    @property
    def is_featurewise(self) -> bool:
        return not self.is_batch_ruled

    def scale_thresholds(self, factor: float) -> None:
        self.threshold.mul_(torch.where(self.threshold < 0, 1.0, factor))  # NOT_LEARNED stays

    def select(
        self, hidden: Float[Tensor, "batch d_hidden"], bias: Float[Tensor, " n_features"]
    ) -> tuple[Float[Tensor, " nnz"], Selection]:
        """The k * batch largest pre-activations of the batch; those not positive count as 0."""
        return select_batch_top_k(hidden, self.W_enc, bias, k=self.k)

    @torch.no_grad()
    def observe(self, selected: Float[Tensor, " nnz"]) -> None:
        """Move the threshold towards the smallest selected value of a training batch."""
        if not self.training:
            return
        # One more entry, so that a rank without any still takes part in the mean.
        positive = torch.cat([selected.masked_fill(selected <= 0, torch.inf), selected.new_full((1,), torch.inf)])
        smallest = self.ranks.mean(positive.min())
        # Without a host-side branch: the first value is taken whole, and a batch without positive ones is passed over.
        rate = torch.where(self.threshold < 0, 1.0, THRESHOLD_RATE)
        moved = self.threshold + rate * (smallest - self.threshold)
        self.threshold.copy_(torch.where(smallest.isfinite(), moved, self.threshold))

    @property
    def floor(self) -> Float[Tensor, " 1"] | None:
        return None if self.is_batch_ruled else self.threshold.reshape(1)

    def codes_of(
        self, hidden: Float[Tensor, "batch d_hidden"], features: Features = ALL_FEATURES
    ) -> Float[Tensor, "batch chosen"]:
        if self.is_batch_ruled:
            return super().codes_of(hidden, features)
        pre = self.pre_activations(hidden, features)
        return torch.where(pre > self.threshold, pre, 0.0)

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        return CountedDictionary.encode(self, x) if self.is_batch_ruled else EncoderDictionary.encode(self, x)

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        return EncoderDictionary.encode_dense(self, x)

    def encode_features(
        self, x: Float[Tensor, "batch d_in"], features: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "batch chosen"]:
        return EncoderDictionary.encode_features(self, x, features)
