"""Orthogonal matching pursuit: one more feature per step, then least squares over all chosen."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.dictionary import SparseCode
from sae_core.inference.non_negative import free_least_squares, non_negative_least_squares
from sae_core.inference.problem import check_problem, exact_matmul, row_chunks
from sae_core.inference.search import FeatureSearch

__all__ = ["orthogonal_matching_pursuit"]

SMALLEST_PIVOT = {torch.float64: 1e-12, torch.float32: 1e-5}
"""Squared length outside the chosen span below which a direction counts as dependent."""


@torch.no_grad()
def orthogonal_matching_pursuit(
    x: Float[Tensor, "batch d_in"],
    directions: Float[Tensor, "n_features d_in"],
    *,
    n_active: int,
    residual_threshold: float = 0.0,
    is_non_negative: bool = False,
) -> SparseCode:
    """Codes [batch, n_active] by orthogonal matching pursuit (Pati, Rezaiifar & Krishnaprasad 1993, section 2).

    `is_non_negative`: positive correlations and codes only (Bruckstein, Elad & Zibulevsky 2008, appendix). A row stops
    at a residual norm of `residual_threshold`, at correlations of rounding size, or at a dependent direction. Raises
    WidthMismatchError, ValueError for n_active below 1 or different dtypes.
    """
    check_problem(x, directions)
    if n_active < 1:
        raise ValueError(f"n_active = {n_active}: must be at least 1")
    n_features, d_in = directions.shape
    n_rows, n_steps = x.shape[0], min(n_active, n_features)
    values = x.new_zeros(n_rows, n_active)
    indices = torch.zeros(n_rows, n_active, dtype=torch.int64, device=x.device)
    with exact_matmul(x.device):
        search = FeatureSearch(directions, is_non_negative=is_non_negative)
        for rows in row_chunks(n_rows, values_per_row=max(n_features, n_steps * d_in), device=x.device):
            pursuit = _Pursuit(x[rows], n_steps=n_steps, is_non_negative=is_non_negative)
            pursuit.run(search, residual_threshold=residual_threshold)
            values[rows, :n_steps], indices[rows, :n_steps] = pursuit.codes, pursuit.chosen
    return SparseCode(values, indices)


class _Pursuit:
    """State of some rows' search; unused places hold a direction of zeros."""

    def __init__(self, x: Tensor, *, n_steps: int, is_non_negative: bool) -> None:
        n_rows, d_in = x.shape
        self.x = self.residual = x
        self.is_non_negative = is_non_negative
        self.n_steps = n_steps
        self.chosen = torch.zeros(n_rows, n_steps, dtype=torch.int64, device=x.device)
        self.atoms = x.new_zeros(n_rows, n_steps, d_in)
        self.gram = x.new_zeros(n_rows, n_steps, n_steps)
        self.target = x.new_zeros(n_rows, n_steps)
        self.codes = x.new_zeros(n_rows, n_steps)
        self.is_used = torch.zeros(n_rows, n_steps, dtype=torch.bool, device=x.device)
        self.is_free = self.is_used.clone()
        self.is_live = torch.ones(n_rows, dtype=torch.bool, device=x.device)
        self.rounding = 10 * torch.finfo(x.dtype).eps * x.norm(dim=1)

    def run(self, search: FeatureSearch, *, residual_threshold: float) -> None:
        for step in range(self.n_steps):
            self.is_live &= self.residual.norm(dim=1) > residual_threshold
            self._choose(search, step)
            if not bool(self.is_live.any()):
                return
            self._solve(step + 1)

    def _choose(self, search: FeatureSearch, step: int) -> None:
        # What is chosen is orthogonal to the residual but for rounding, or held at 0: it must not be chosen again.
        best, largest = search(self.residual, taken=self.chosen[:, :step] if step else None)
        self.is_live &= (largest if self.is_non_negative else largest.abs()) > self.rounding
        self.chosen[:, step] = torch.where(self.is_live, best, self.chosen[:, 0])
        self._place(search.directions[best] * self.is_live[:, None], step)

    def _place(self, atom: Tensor, step: int) -> None:
        self.atoms[:, step] = atom
        products = torch.bmm(self.atoms[:, : step + 1], atom[:, :, None])[:, :, 0]
        self.gram[:, step, : step + 1] = products
        self.gram[:, : step + 1, step] = products
        self.target[:, step] = (self.x * atom).sum(dim=1)
        self.is_used[:, step] = self.is_live
        self.is_free[:, step] = self.is_live

    def _solve(self, width: int) -> None:
        gram, target = self.gram[:, :width, :width], self.target[:, :width]
        atoms, used, free = self.atoms[:, :width], self.is_used[:, :width], self.is_free[:, :width]
        codes, factor = free_least_squares(gram, target, is_free=free)
        is_dependent = self.is_live & ~(factor[:, -1, -1].square() > SMALLEST_PIVOT[self.x.dtype])
        if bool(is_dependent.any()):
            self.is_live &= ~is_dependent
            used[is_dependent, -1] = free[is_dependent, -1] = False
            codes, factor = free_least_squares(gram, target, is_free=free)
        if self.is_non_negative:
            # Elsewhere all chosen are free and came out positive, which is the answer.
            rows = ((codes < 0) | (used & ~free)).any(dim=1).nonzero()[:, 0]
            _, free[rows] = non_negative_least_squares(
                gram[rows], target[rows], start=self.codes[rows, :width], is_free=free[rows], is_allowed=used[rows]
            )
            codes[rows], factor[rows] = free_least_squares(gram[rows], target[rows], is_free=free[rows])
        # One step of refinement against the directions themselves: the normal equations square the condition number.
        residual = self.x - torch.bmm(codes[:, None], atoms)[:, 0]
        slope = torch.bmm(atoms, residual[:, :, None]) * free[:, :, None]
        codes = codes + torch.cholesky_solve(slope, factor)[:, :, 0]
        self.codes[:, :width] = codes.clamp(min=0) if self.is_non_negative else codes
        self.residual = self.x - torch.bmm(self.codes[:, None, :width], atoms)[:, 0]
