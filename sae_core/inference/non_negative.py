"""Non-negative least squares for many small problems at once."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["free_least_squares", "non_negative_least_squares"]

ROUNDING = 10
"""Squared pivots up to this many rounding units of their diagonal entry count as 0."""


def free_least_squares(
    gram: Float[Tensor, "batch k k"], target: Float[Tensor, "batch k"], *, is_free: Bool[Tensor, "batch k"]
) -> tuple[Float[Tensor, "batch k"], Float[Tensor, "batch k k"]]:
    """Per row the solution of the free features' normal equations (others 0), and their Cholesky factor, NaN if
    singular."""
    free = is_free.to(gram.dtype)
    # Rows and columns of the other features become the identity's.
    masked = gram * free[:, :, None] * free[:, None, :] + torch.diag_embed(1 - free)
    factor, info = torch.linalg.cholesky_ex(masked)
    pivots, norms = (torch.diagonal(each, dim1=-2, dim2=-1) for each in (factor, masked))
    is_rounding = (pivots.square() <= ROUNDING * torch.finfo(gram.dtype).eps * norms).any(dim=1)
    is_singular = (info > 0) | is_rounding
    factor = torch.where(is_singular[:, None, None], torch.full_like(factor, torch.nan), factor)
    return torch.cholesky_solve((target * free)[:, :, None], factor)[:, :, 0], factor


def non_negative_least_squares(
    gram: Float[Tensor, "batch k k"],
    target: Float[Tensor, "batch k"],
    *,
    start: Float[Tensor, "batch k"],
    is_free: Bool[Tensor, "batch k"],
    is_allowed: Bool[Tensor, "batch k"],
) -> tuple[Float[Tensor, "batch k"], Bool[Tensor, "batch k"]]:
    """argmin over z >= 0 of z G z / 2 - target z per row, and which codes are free (Lawson & Hanson 1974, ch. 23).

    start: a feasible code, 0 where not free; is_allowed: features that may be used.
    """
    codes, free = start.clone(), is_free.clone()
    tolerance = 10 * torch.finfo(gram.dtype).eps * target.abs().amax(dim=1, keepdim=True)
    live = torch.arange(gram.shape[0], device=gram.device)
    for _ in range(3 * gram.shape[1]):
        codes[live], free[live] = _move_inside(gram[live], target[live], codes[live], free[live])
        slope = target[live] - (gram[live] @ codes[live][:, :, None])[:, :, 0]
        is_open = is_allowed[live] & ~free[live] & (slope > tolerance[live])
        is_live = is_open.any(dim=1)
        if not bool(is_live.any()):
            break
        steepest = slope.masked_fill(~is_open, -torch.inf).argmax(dim=1)
        live, steepest = live[is_live], steepest[is_live]
        free[live, steepest] = True
    return codes, free


def _move_inside(gram: Tensor, target: Tensor, codes: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """Move towards the free features' least squares, freezing at 0 each feature that would turn negative."""
    codes, free = codes.clone(), free.clone()
    live = torch.arange(gram.shape[0], device=gram.device)
    while live.numel():
        here, aim = codes[live], free_least_squares(gram[live], target[live], is_free=free[live])[0]
        is_blocking = free[live] & ~(aim > 0)
        # Share of the way until a code reaches 0; a singular system (not a number) blocks at once.
        share = torch.where(is_blocking, (here / (here - aim)).nan_to_num(0.0, 0.0, 0.0), torch.inf)
        length, first = share.min(dim=1)
        is_blocked = length < torch.inf
        moved = torch.where(
            is_blocked[:, None], here + length[:, None].clamp(max=1) * (aim - here).nan_to_num(0.0), aim
        )
        stays = free[live] & ~(is_blocking & (share <= length[:, None]))
        stays[torch.arange(live.numel(), device=live.device), first] &= ~is_blocked
        codes[live] = moved.clamp(min=0) * stays
        free[live] = stays
        live = live[is_blocked]
    return codes, free
