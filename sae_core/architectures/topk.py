"""The TopK sparse autoencoder of Gao et al. 2024 (arXiv 2406.04093)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.counted import CountedDictionary
from sae_core.sparse.kernels import Selection
from sae_core.sparse.selection import select_top_k

__all__ = ["TopKDictionary"]


class TopKDictionary(CountedDictionary):
    """z = ReLU(TopK(W_e (x - b_d) + b_e)), x_hat = z W_d + b_d (section 2.3)."""

    def select(
        self, hidden: Float[Tensor, "batch d_hidden"], bias: Float[Tensor, " n_features"]
    ) -> tuple[Float[Tensor, " nnz"], Selection]:
        """The k largest pre-activations of each row; those not positive count as 0."""
        return select_top_k(hidden, self.W_enc, bias, k=self.k)
