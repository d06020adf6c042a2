"""Exact gradients of a linear encoder and decoder without dense [batch, n_features] matrices, by public torch calls."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sae_core.device import is_on_host
from sae_core.sparse.screening import dot_products, sorted_by_feature

__all__ = [
    "Selection",
    "attach_encoder",
    "decode_selected",
    "fired_features",
]


class Selection:
    """The active features of each row of a batch, as entries in row order.

    columns: [nnz] int64, each entry's feature; rows: [nnz] int64; row_starts: [batch] int64, first entry of each row.
    """

    def __init__(
        self,
        *,
        columns: Int[Tensor, " nnz"],
        rows: Int[Tensor, " nnz"],
        row_starts: Int[Tensor, " batch"],
        n_features: int,
    ) -> None:
        self.columns = columns
        self.rows = rows
        self.row_starts = row_starts
        self.n_features = n_features
        self._by_feature: tuple[Tensor, Tensor, Tensor] | None = None

    def by_feature(self) -> tuple[Int[Tensor, " nnz"], Int[Tensor, " nnz"], Int[Tensor, " n_features_1"]]:
        """(order, rows, starts): permutation that sorts entries by feature, their rows, and each feature's first entry,
        then nnz."""
        if self._by_feature is None:  # sorted once for all weight gradients
            order, starts = sorted_by_feature(self.columns, n_features=self.n_features)
            self._by_feature = (order, self.rows.index_select(0, order), starts)
        return self._by_feature

    def sum_rows(
        self, matrix: Float[Tensor, "n_features width"], weights: Float[Tensor, " nnz"]
    ) -> Float[Tensor, "batch width"]:
        """Per row of the batch: the weighted sum of its active features' rows of `matrix`."""
        # On a CPU half as many bytes of indices are a fifth less time.
        index = torch.int32 if is_on_host(matrix) else torch.int64
        columns, starts = self.columns.to(index), self.row_starts.to(index)
        return functional.embedding_bag(columns, matrix, starts, per_sample_weights=weights, mode="sum")

    def sum_features(
        self, matrix: Float[Tensor, "batch width"], weights: Float[Tensor, " nnz"]
    ) -> Float[Tensor, "n_features width"]:
        """Per feature: the weighted sum of the rows of `matrix` in which it is active."""
        order, rows, starts = self.by_feature()
        return functional.embedding_bag(
            rows, matrix, starts[:-1], per_sample_weights=weights.index_select(0, order), mode="sum"
        )

    def products(
        self, rows_matrix: Float[Tensor, "batch width"], features_matrix: Float[Tensor, "n_features width"]
    ) -> Float[Tensor, " nnz"]:
        """Per entry: the dot product of its row of `rows_matrix` and its feature's row of `features_matrix`."""
        # Feature by feature, so that each row of the larger matrix is read once.
        order, rows, starts = self.by_feature()
        per_entry = dot_products(features_matrix, rows_matrix, starts=starts, columns=rows)
        return torch.empty_like(per_entry).scatter_(0, order, per_entry)

    def sum_weights(self, weights: Float[Tensor, " nnz"]) -> Float[Tensor, " n_features"]:
        """Per feature: the sum of its entries' weights."""
        return weights.new_zeros(self.n_features).index_add_(0, self.columns, weights)


class _AttachEncoder(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, bias, values, selection):
        ctx.save_for_backward(hidden, weight)
        ctx.selection = selection
        return values.view_as(values)

    @staticmethod
    def backward(ctx, *gradients):
        hidden, weight = ctx.saved_tensors
        selection: Selection = ctx.selection
        per_entry = gradients[0].contiguous()
        to_hidden, to_weight, to_bias = ctx.needs_input_grad[:3]
        return (
            selection.sum_rows(weight, per_entry) if to_hidden else None,
            selection.sum_features(hidden, per_entry) if to_weight else None,
            selection.sum_weights(per_entry) if to_bias else None,
            None,
            None,
        )


class _AttachDecoder(torch.autograd.Function):
    @staticmethod
    def forward(ctx, reconstruction, decoder, values, selection):
        ctx.save_for_backward(values)
        ctx.selection = selection
        return reconstruction.view_as(reconstruction)

    @staticmethod
    def backward(ctx, *gradients):
        (values,) = ctx.saved_tensors
        outer = gradients[0].contiguous()
        to_decoder = ctx.selection.sum_features(outer, values) if ctx.needs_input_grad[1] else None
        return outer, to_decoder, None, None


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, decoder, selection):
        ctx.save_for_backward(values, decoder)
        ctx.selection = selection
        return selection.sum_rows(decoder, values)

    @staticmethod
    def backward(ctx, *gradients):
        values, decoder = ctx.saved_tensors
        selection: Selection = ctx.selection
        outer = gradients[0].contiguous()
        to_values, to_decoder = ctx.needs_input_grad[:2]
        return (
            selection.products(outer, decoder) if to_values else None,
            selection.sum_features(outer, values) if to_decoder else None,
            None,
        )


def attach_encoder(
    values: Float[Tensor, " nnz"],
    selection: Selection,
    *,
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
) -> Float[Tensor, " nnz"]:
    """The selected pre-activations `hidden @ weight.T + bias`, differentiable in hidden, weight and bias."""
    return _AttachEncoder.apply(hidden, weight, bias, values, selection)  # pyright: ignore[reportReturnType]


def decode_selected(
    values: Float[Tensor, " nnz"], selection: Selection, *, decoder: Float[Tensor, "n_features d_in"]
) -> Float[Tensor, "batch d_in"]:
    """`codes @ decoder`, differentiable in values and decoder."""
    if is_on_host(values):
        return _Decode.apply(values, decoder, selection)  # pyright: ignore[reportReturnType]
    # On a GPU torch's own gradient of per_sample_weights is a sparse gather-dot; only the decoder's needs ours.
    reconstruction = selection.sum_rows(decoder.detach(), values)
    return _AttachDecoder.apply(reconstruction, decoder, values.detach(), selection)  # pyright: ignore


@torch.no_grad()
def fired_features(values: Float[Tensor, " nnz"], selection: Selection) -> Bool[Tensor, " n_features"]:
    """Features with a positive entry in the batch."""
    counts = selection.sum_weights((values > 0).to(values.dtype))
    return counts > 0
