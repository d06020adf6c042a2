"""The feature of largest correlation with each residual.

With fast bfloat16 a rough product preselects all features within a proven rounding bound: the result is exact.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.device import has_fast_bfloat16, is_on_host

__all__ = ["FeatureSearch"]

N_IN_GROUP = 64
"""Features reduced to one rough maximum."""

MIN_FEATURES = 1024
"""Fewest features for which preselection pays."""

MAX_CANDIDATES_PER_ROW = 32
"""Mean number of candidates above which the plain product is cheaper."""


class FeatureSearch:
    """The arg-max over features of the correlation with a residual, or of its magnitude for signed codes."""

    def __init__(self, directions: Float[Tensor, "n_features d_in"], *, is_non_negative: bool) -> None:
        self.directions = directions
        self.is_non_negative = is_non_negative
        is_eligible = is_on_host(directions) and directions.dtype == torch.float32
        self.is_rough_first = is_eligible and directions.shape[0] >= MIN_FEATURES and has_fast_bfloat16()
        if self.is_rough_first:
            # Whole groups: the last feature is repeated, which changes no maximum.
            n_spare = -directions.shape[0] % N_IN_GROUP
            padded = torch.cat([directions, directions[-1:].expand(n_spare, -1)])
            self.rough = padded.bfloat16()
            self.rough_norm = self.rough.float().norm(dim=1).max()
            self.rough_error = (self.rough.float() - padded).norm(dim=1).max()

    def __call__(
        self, residual: Float[Tensor, "batch d_in"], *, taken: Int[Tensor, "batch n_taken"] | None = None
    ) -> tuple[Int[Tensor, " batch"], Float[Tensor, " batch"]]:
        """(feature, its signed correlation) per residual; features in `taken` come last."""
        best = self._two_stage(residual, taken) if self.is_rough_first else None
        if best is None:
            best = self._size(residual @ self.directions.T, taken).argmax(dim=1)
        return best, (residual * self.directions[best]).sum(dim=1)

    def _size(self, correlations: Tensor, taken: Tensor | None) -> Tensor:
        sizes = correlations if self.is_non_negative else correlations.abs_()
        return sizes if taken is None else sizes.scatter_(1, taken, -torch.inf)

    def _two_stage(self, residual: Tensor, taken: Tensor | None) -> Tensor | None:
        n_rows, n_features = residual.shape[0], self.directions.shape[0]
        rough_residual = residual.bfloat16()
        sizes = self._size(rough_residual @ self.rough.T, taken)
        groups = sizes.view(n_rows, N_IN_GROUP, -1)
        largest_in_group = groups.amax(dim=1)
        floor = self._floor(residual, rough_residual, largest_in_group.amax(dim=1).float())
        rows, group = (largest_in_group >= floor[:, None]).nonzero(as_tuple=True)
        if rows.numel() > MAX_CANDIDATES_PER_ROW * n_rows:
            return None
        hit, member = (groups[rows, :, group] >= floor[rows, None]).nonzero(as_tuple=True)
        if hit.numel() > MAX_CANDIDATES_PER_ROW * n_rows:
            return None
        rows, features = rows[hit], (member * groups.shape[2] + group[hit]).clamp(max=n_features - 1)
        exact = (residual[rows] * self.directions[features]).sum(dim=1)
        exact = exact if self.is_non_negative else exact.abs()
        best_value = residual.new_full((n_rows,), -torch.inf).scatter_reduce(0, rows, exact, "amax")
        # Of equal ones the first, as a plain arg-max finds it; a residual of zeros has no candidate and gets feature 0.
        ranked = torch.where(exact == best_value[rows], features, n_features)
        best = torch.full((n_rows,), n_features).scatter_reduce(0, rows, ranked, "amin")
        return torch.where(best == n_features, 0, best)

    def _floor(self, residual: Tensor, rough_residual: Tensor, largest: Tensor) -> Tensor:
        """Rough size that the truly largest correlation reaches for certain, per row."""
        # By Cauchy-Schwarz rounding moves a product by at most |r' - r| |d'| + |r| |d' - d|, its float32 sum by
        # d_in 2^-24 |r'| |d'| (twice, for the second stage's), and storing it as bfloat16 by 2^-8 of itself.
        norm, rough_norm = residual.norm(dim=1), rough_residual.float().norm(dim=1)
        rounding = (rough_residual.float() - residual).norm(dim=1) * self.rough_norm + norm * self.rough_error
        summing = 2 * residual.shape[1] * 2.0**-24 * torch.maximum(norm, rough_norm) * self.rough_norm
        # Twice, for the largest and for its rival; 2% for the second order and for these norms' own rounding.
        margin = 1.02 * 2 * (rounding + summing + 2.0**-8 * largest.abs())
        return torch.where(norm > 0, largest - margin, math.inf)
