"""The AbsTopK sparse autoencoder of Zhu, Khalili and Zhu 2025 (arXiv 2510.00404): codes with signs."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.counted import CountedDictionary
from sae_core.sparse.kernels import Selection
from sae_core.sparse.selection import select_top_k_by_magnitude

__all__ = ["AbsTopKDictionary"]


class AbsTopKDictionary(CountedDictionary):
    """z = H_k(W_e (x - b_d) + b_e), x_hat = z W_d + b_d; H_k keeps the k largest |z| (section 3)."""

    is_signed = True

    def select(
        self, hidden: Float[Tensor, "batch d_hidden"], bias: Float[Tensor, " n_features"]
    ) -> tuple[Float[Tensor, " nnz"], Selection]:
        return select_top_k_by_magnitude(hidden, self.W_enc, bias, k=self.k)

    def rectify(self, pre: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return pre
