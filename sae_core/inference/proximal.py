"""ISTA and FISTA: lasso codes, (1/2) ||x - z D||^2 + l1_weight * sum |z| per sample, by proximal gradient steps."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.inference.optimality import kkt_residual, shrink
from sae_core.inference.problem import check_problem, exact_matmul

__all__ = ["fista", "ista", "largest_curvature"]

STEPS_PER_CHECK = 10
"""Steps between two checks of the tolerance; a check costs about one step."""


@torch.no_grad()
def largest_curvature(directions: Float[Tensor, "*problem n_features d_in"]) -> Float[Tensor, "*problem"]:
    """Largest eigenvalue of D D^T per problem, the gradient's Lipschitz constant."""
    exact = directions.double()
    is_wide = directions.shape[-2] >= directions.shape[-1]
    gram = exact.mT @ exact if is_wide else exact @ exact.mT
    return torch.linalg.eigvalsh(gram)[..., -1].to(directions.dtype)


def ista(
    x: Float[Tensor, "*problem batch d_in"],
    directions: Float[Tensor, "*problem n_features d_in"],
    *,
    l1_weight: float,
    n_steps: int,
    is_non_negative: bool = True,
    warm_start: Float[Tensor, "*problem batch n_features"] | None = None,
    tolerance: float | None = None,
) -> Float[Tensor, "*problem batch n_features"]:
    """Codes after at most `n_steps` plain proximal gradient steps (Daubechies, Defrise & De Mol 2004), as `fista`."""
    return _descend(
        x,
        directions,
        l1_weight=l1_weight,
        n_steps=n_steps,
        is_non_negative=is_non_negative,
        warm_start=warm_start,
        tolerance=tolerance,
        is_accelerated=False,
        is_restarted=False,
    )


def fista(
    x: Float[Tensor, "*problem batch d_in"],
    directions: Float[Tensor, "*problem n_features d_in"],
    *,
    l1_weight: float,
    n_steps: int,
    is_non_negative: bool = True,
    warm_start: Float[Tensor, "*problem batch n_features"] | None = None,
    tolerance: float | None = None,
    is_restarted: bool = True,
) -> Float[Tensor, "*problem batch n_features"]:
    """Codes after at most `n_steps` accelerated proximal gradient steps (Beck & Teboulle 2009, section 4).

    tolerance: stop when every sample's `kkt_residual` is at most this; None never waits for the device. is_restarted:
    drop a sample's momentum when it points uphill (O'Donoghue & Candes 2015, section 3.2, the gradient scheme). Raises
    WidthMismatchError, ValueError for negative weight or n_steps or different dtypes.
    """
    return _descend(
        x,
        directions,
        l1_weight=l1_weight,
        n_steps=n_steps,
        is_non_negative=is_non_negative,
        warm_start=warm_start,
        tolerance=tolerance,
        is_accelerated=True,
        is_restarted=is_restarted,
    )


class _Step:
    """One proximal gradient step: z -> shrink(z - (z D - x) D^T / L, l1_weight / L)."""

    def __init__(self, x: Tensor, directions: Tensor, *, l1_weight: float, is_non_negative: bool) -> None:
        # A little above the largest curvature, so that rounding cannot make a step too long.
        safety = 1 + 10 * torch.finfo(x.dtype).eps
        self.rate = 1 / (largest_curvature(directions) * safety).clamp_min(torch.finfo(x.dtype).tiny)[..., None, None]
        self.x, self.directions, self.l1_weight, self.is_non_negative = x, directions, l1_weight, is_non_negative
        n_features, d_in = directions.shape[-2:]
        self.is_small = n_features <= 2 * d_in
        if self.is_small:
            # One product with a matrix of n_features^2 instead of two of n_features * d_in.
            gram = directions @ directions.mT
            identity = torch.eye(n_features, dtype=x.dtype, device=x.device)
            self.map = (identity - self.rate * gram).contiguous()
            self.shift = self.rate * (x @ directions.mT)
            if is_non_negative:
                self.shift = self.shift - self.rate * l1_weight

    def __call__(self, z: Tensor) -> Tensor:
        if not self.is_small:
            moved = z - self.rate * ((z @ self.directions - self.x) @ self.directions.mT)
            return shrink(moved, self.rate * self.l1_weight, is_non_negative=self.is_non_negative)
        moved = (z @ self.map).add_(self.shift)
        if self.is_non_negative:
            return moved.clamp_(min=0)
        return shrink(moved, self.rate * self.l1_weight, is_non_negative=False)


@torch.no_grad()
def _descend(
    x: Tensor,
    directions: Tensor,
    *,
    l1_weight: float,
    n_steps: int,
    is_non_negative: bool,
    warm_start: Tensor | None,
    tolerance: float | None,
    is_accelerated: bool,
    is_restarted: bool,
) -> Tensor:
    check_problem(x, directions)
    if l1_weight < 0 or n_steps < 0:
        raise ValueError(f"l1_weight = {l1_weight}, n_steps = {n_steps}: must be 0 or more")
    shape = (*x.shape[:-1], directions.shape[-2])
    codes = x.new_zeros(shape) if warm_start is None else warm_start.to(x.dtype)
    codes = codes.clamp(min=0) if is_non_negative else codes
    with exact_matmul(x.device):
        step = _Step(x, directions, l1_weight=l1_weight, is_non_negative=is_non_negative)
        point, momentum = codes, x.new_ones((*x.shape[:-1], 1))
        for i in range(n_steps):
            before, codes = codes, step(point)
            if is_accelerated:
                point, momentum = _extrapolate(codes, before, point, momentum, is_restarted=is_restarted)
            else:
                point = codes
            if tolerance is not None and (i + 1) % STEPS_PER_CHECK == 0:
                missed = kkt_residual(x, directions, codes, l1_weight=l1_weight, is_non_negative=is_non_negative)
                if missed.numel() == 0 or float(missed.max()) <= tolerance:
                    break
    return codes


def _extrapolate(
    codes: Tensor, before: Tensor, point: Tensor, momentum: Tensor, *, is_restarted: bool
) -> tuple[Tensor, Tensor]:
    moved = codes - before
    if is_restarted:
        is_uphill = torch.linalg.vecdot(point - codes, moved)[..., None] > 0
        momentum = torch.where(is_uphill, 1.0, momentum)
    following = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
    return torch.addcmul(codes, (momentum - 1) / following, moved), following
