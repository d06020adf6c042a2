"""A training batch's codes with gradients, dense or selected."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sae_core.sparse.kernels import Selection, decode_selected, fired_features

__all__ = ["BatchCodes", "DenseCodes", "SelectedCodes"]


@dataclass(frozen=True)
class DenseCodes:
    """All codes of a batch."""

    values: Float[Tensor, "batch n_features"]

    @property
    def n_rows(self) -> int:
        return self.values.shape[0]

    def decode(self, directions: Float[Tensor, "n_features d_in"]) -> Float[Tensor, "batch d_in"]:
        return (self.values @ directions).to(directions.dtype)

    @torch.no_grad()
    def n_active(self) -> Float[Tensor, ""]:
        """Mean number of active features."""
        return (self.values != 0).sum().to(self.values.dtype) / self.n_rows

    @torch.no_grad()
    def fired(self) -> Bool[Tensor, " n_features"]:
        """Features active anywhere in the batch."""
        return (self.values != 0).any(dim=0)


@dataclass(frozen=True)
class SelectedCodes:
    """The codes of selected features, in the order of `selection`; some may be 0."""

    values: Float[Tensor, " nnz"]
    selection: Selection

    @property
    def n_rows(self) -> int:
        return self.selection.row_starts.shape[0]

    def decode(self, directions: Float[Tensor, "n_features d_in"]) -> Float[Tensor, "batch d_in"]:
        return decode_selected(self.values, self.selection, decoder=directions)

    @torch.no_grad()
    def n_active(self) -> Float[Tensor, ""]:
        """Mean number of active features."""
        return (self.values != 0).sum().to(self.values.dtype) / self.n_rows

    @torch.no_grad()
    def fired(self) -> Bool[Tensor, " n_features"]:
        """Features active anywhere in the batch."""
        return fired_features(self.values.abs(), self.selection)


BatchCodes = DenseCodes | SelectedCodes
