"""The Matryoshka sparse autoencoder of Bussmann et al. 2025 (arXiv 2503.17547): every prefix reconstructs by itself."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.architectures.batchtopk import BatchTopKDictionary
from sae_core.sparse.codes import BatchCodes, SelectedCodes
from sae_core.sparse.kernels import Selection, decode_selected
from sae_core.trainable import TrainingPass

__all__ = ["MatryoshkaDictionary"]


class _Bags(Selection):
    """The entries of a selection in other bags than its rows; the sort by feature is shared."""

    def __init__(self, whole: Selection, *, rows: Tensor, row_starts: Tensor) -> None:
        super().__init__(columns=whole.columns, rows=rows, row_starts=row_starts, n_features=whole.n_features)
        self.whole = whole

    def by_feature(self) -> tuple[Int[Tensor, " nnz"], Int[Tensor, " nnz"], Int[Tensor, " n_features_1"]]:
        order, _, starts = self.whole.by_feature()
        return order, self.rows[order], starts


class MatryoshkaDictionary(BatchTopKDictionary):
    """BatchTopK with the mean loss over all prefixes of `config.prefixes` (section 3.2)."""

    prefix_ends: Tensor

    def add_feature_parameters(self) -> None:
        super().add_feature_parameters()
        self.register_buffer("prefix_ends", torch.tensor(self.config.prefixes), persistent=False)

    def pass_of(self, codes: BatchCodes, penalty: Float[Tensor, ""] | None = None) -> TrainingPass:
        assert isinstance(codes, SelectedCodes)
        selection, n_groups = codes.selection, len(self.config.prefixes)
        group = torch.searchsorted(self.prefix_ends, selection.columns, right=True)
        # Entries come ordered by row and feature, so each pair of row and group is one run of them: a bag of its own.
        bags = selection.rows * n_groups + group
        bag_starts = torch.searchsorted(bags, torch.arange(codes.n_rows * n_groups, device=bags.device))
        grouped = _Bags(selection, rows=bags, row_starts=bag_starts)
        # One decoding for all prefixes: each is the one before plus its own group.
        added = decode_selected(codes.values, grouped, decoder=self.W_dec)
        prefixes = added.view(codes.n_rows, n_groups, self.d_in).cumsum(dim=1) + self.b_dec
        *partial, whole = prefixes.unbind(dim=1)
        code_sum = codes.values.sum() / codes.n_rows
        return TrainingPass(
            reconstruction=whole,
            code_sum=code_sum,
            n_active=codes.n_active(),
            fired=codes.fired(),
            penalty=torch.zeros_like(code_sum) if penalty is None else penalty,
            partial_reconstructions=tuple(partial),
        )
