"""The dictionary: an encoder to a sparse code over one linear decoder.

Row i of `directions`, of norm 1, is feature i's direction; the reconstruction is `offset + sum_i code_i *
directions_i`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sae_core.config import DictionaryConfig
from sae_core.errors import WidthMismatchError
from sae_core.positions import is_nonzero, true_positions

__all__ = ["Dictionary", "SparseCode"]


class SparseCode(NamedTuple):
    """A batch of sparse codes, padded to the widest row with value 0 at any index.

    values: [batch, k]; indices: [batch, k], int64, the features.
    """

    values: Float[Tensor, "batch k"]
    indices: Int[Tensor, "batch k"]

    @classmethod
    def from_dense(cls, dense: Float[Tensor, "batch n_features"]) -> SparseCode:
        """The non-zero entries in feature order, padded to the largest L0 (at least 1)."""
        n_rows, n_features = dense.shape
        positions = true_positions(is_nonzero(dense).reshape(-1))
        rows = positions // n_features
        n_active = torch.bincount(rows, minlength=n_rows)
        k = max(1, int(n_active.max())) if n_rows else 1
        row_starts = n_active.cumsum(0) - n_active
        places = rows * k + torch.arange(rows.numel(), device=dense.device) - row_starts.index_select(0, rows)
        values = dense.new_zeros(n_rows, k)
        values.view(-1)[places] = dense.reshape(-1).index_select(0, positions)
        indices = positions.new_zeros(n_rows, k)
        indices.view(-1)[places] = positions - rows * n_features
        return cls(values, indices)

    @classmethod
    def join(cls, parts: Sequence[SparseCode]) -> SparseCode:
        width = max(part.values.shape[1] for part in parts)
        values, indices = (
            torch.cat([torch.nn.functional.pad(tensor, (0, width - tensor.shape[1])) for tensor in tensors])
            for tensors in zip(*parts, strict=True)
        )
        return cls(values, indices)

    def to_dense(self, n_features: int) -> Float[Tensor, "batch n_features"]:
        dense = self.values.new_zeros(self.values.shape[0], n_features)
        return dense.scatter_add_(1, self.indices, self.values)


class Dictionary(nn.Module, ABC):
    """A dictionary over activations of width `d_in` with `n_features` features.

    Codes fire above 0; those of `is_dense` ones (neurons, random directions) above a fitted threshold. `is_signed`:
    codes may be negative.
    """

    config: DictionaryConfig
    d_in: int
    n_features: int
    is_dense: bool = False
    is_signed: bool = False
    is_featurewise: bool = False
    """Whether `encode_features` costs only the chosen features' share."""
    is_transcoder: bool = False
    """Whether directions and output belong to another place than the activations read."""
    is_cross_layer: bool = False
    """Whether directions add up what is written to several layers, so that no one place is reconstructed."""

    @property
    @abstractmethod
    def directions(self) -> Float[Tensor, "n_features d_in"]:
        """Unit-norm decoder direction per feature."""

    @property
    @abstractmethod
    def offset(self) -> Float[Tensor, " d_in"]:
        """The reconstruction of a code of zeros."""

    @abstractmethod
    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        """Codes as a dense matrix. Raises WidthMismatchError."""

    def check_width(self, x: Tensor) -> None:
        """Raise WidthMismatchError unless the last axis of `x` is `d_in` wide."""
        if x.shape[-1] != self.d_in:
            raise WidthMismatchError(
                f"activations are {x.shape[-1]} wide, but the dictionary was made for width {self.d_in}; "
                "use a dictionary trained at this site of this subject"
            )

    def encode_features(
        self, x: Float[Tensor, "batch d_in"], features: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "batch chosen"]:
        """Dense codes of some features."""
        return self.encode_dense(x)[:, features]

    def decode_dense(self, code: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch d_in"]:
        return code @ self.directions + self.offset

    def reconstruct(
        self, x: Float[Tensor, "batch d_in"], code: Float[Tensor, "batch n_features"]
    ) -> Float[Tensor, "batch d_out"]:
        """Reconstruction of activations `x` from their dense codes; dictionaries that normalise `x` need both."""
        return self.decode_dense(code)

    def difference(
        self, x: Float[Tensor, "batch d_in"], features: Int[Tensor, " chosen"], change: Float[Tensor, "batch chosen"]
    ) -> Float[Tensor, "batch d_out"]:
        """What the reconstruction of activations `x` moves by when the codes of `features` change by `change`."""
        return change @ self.directions[features]

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        return SparseCode.from_dense(self.encode_dense(x))

    def decode(self, code: SparseCode) -> Float[Tensor, "batch d_in"]:
        rows = torch.nn.functional.embedding_bag(
            code.indices, self.directions, per_sample_weights=code.values.to(self.directions.dtype), mode="sum"
        )
        return rows + self.offset

    def forward(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_in"]:
        return self.decode(self.encode(x))
