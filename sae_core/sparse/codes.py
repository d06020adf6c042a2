"""The codes of one batch during training, with gradients: all of them, or the selected ones alone.

Both forms answer the same questions (what they decode to, how many are active), so that an architecture states its rule
once per form and nothing else twice. Takes tensors; knows nothing of architectures or losses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sae_core.sparse.kernels import Selection, decode_selected, fired_features

__all__ = ["BatchCodes", "DenseCodes", "SelectedCodes"]


@dataclass(frozen=True)
class DenseCodes:
    """All codes of a batch. values: [batch, n_features]."""

    values: Float[Tensor, "batch n_features"]

    @property
    def n_rows(self) -> int:
        """Activations in the batch."""
        return self.values.shape[0]

    def decode(self, directions: Float[Tensor, "n_features d_in"]) -> Float[Tensor, "batch d_in"]:
        """The weighted sums of directions."""
        return (self.values @ directions).to(directions.dtype)

    @torch.no_grad()
    def n_active(self) -> Float[Tensor, ""]:
        """The mean number of active features."""
        return (self.values != 0).sum().to(self.values.dtype) / self.n_rows

    @torch.no_grad()
    def fired(self) -> Bool[Tensor, " n_features"]:
        """Which features are active anywhere in the batch."""
        return (self.values != 0).any(dim=0)


@dataclass(frozen=True)
class SelectedCodes:
    """The codes of selected features. values: [nnz], in the order of `selection`; some may be 0."""

    values: Float[Tensor, " nnz"]
    selection: Selection

    @property
    def n_rows(self) -> int:
        """Activations in the batch."""
        return self.selection.row_starts.shape[0]

    def decode(self, directions: Float[Tensor, "n_features d_in"]) -> Float[Tensor, "batch d_in"]:
        """The weighted sums of directions."""
        return decode_selected(self.values, self.selection, decoder=directions)

    @torch.no_grad()
    def n_active(self) -> Float[Tensor, ""]:
        """The mean number of active features."""
        return (self.values != 0).sum().to(self.values.dtype) / self.n_rows

    @torch.no_grad()
    def fired(self) -> Bool[Tensor, " n_features"]:
        """Which features are active anywhere in the batch."""
        return fired_features(self.values.abs(), self.selection)


BatchCodes = DenseCodes | SelectedCodes
