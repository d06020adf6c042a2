"""Alternating dictionary learning: FISTA for codes, least squares for directions.

Minimises 1/2 |x - codes @ directions|^2 + l1_weight * |codes|_1 per sample under unit directions. Problems stacked in
leading axes are independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.inference import optimality
from sae_core.inference.proximal import fista

__all__ = ["CodedDictionary", "alternate", "lasso_objective", "update_directions"]

RIDGE = 1e-3
"""Pull of each direction to its last value, relative to the mean energy; keeps rare ones in place."""
DEAD_FRAC = 0.002
"""Share of samples up to which a direction counts as dead."""


class CodedDictionary(NamedTuple):
    """Unit-norm directions and the codes of their samples."""

    directions: Float[Tensor, "*problem n_features d_in"]
    codes: Float[Tensor, "*problem n_samples n_features"]


@torch.no_grad()
def alternate(
    x: Float[Tensor, "*problem n_samples d_in"],
    directions: Float[Tensor, "*problem n_features d_in"],
    *,
    l1_weights: Sequence[float],
    n_code_steps: int = 10,
    codes: Float[Tensor, "*problem n_samples n_features"] | None = None,
    is_non_negative: bool = True,
    revival: torch.Generator | None = None,
) -> CodedDictionary:
    """One turn per entry of `l1_weights`, with `n_code_steps` of FISTA each, from `codes` or 0.

    `revival`: points hardly used directions at badly reconstructed samples after each turn of the first half.
    """
    for turn, l1_weight in enumerate(l1_weights):
        codes = fista(
            x,
            directions,
            l1_weight=l1_weight,
            n_steps=n_code_steps,
            is_non_negative=is_non_negative,
            warm_start=codes,
            is_restarted=False,
        )
        updated = update_directions(x, codes, directions)
        norms = updated.norm(dim=-1, keepdim=True)
        directions = torch.where(norms > 1e-8, updated / norms.clamp_min(1e-8), directions)
        # Codes take over the norms, so that the next turn starts from the reconstruction that least squares found.
        codes = codes * norms.mT
        if revival is not None and 2 * turn < len(l1_weights):
            directions, codes = _revive_dead(x, CodedDictionary(directions, codes), revival)
    if codes is None:
        raise ValueError("l1_weights = (): give at least one turn")
    return CodedDictionary(directions, codes)


@torch.no_grad()
def update_directions(
    x: Float[Tensor, "*problem n_samples d_in"],
    codes: Float[Tensor, "*problem n_samples n_features"],
    directions: Float[Tensor, "*problem n_features d_in"],
    *,
    ridge: float = RIDGE,
) -> Float[Tensor, "*problem n_features d_in"]:
    """Directions D, not normalised, that minimise |x - codes @ D|^2 + ridge * e * |D - directions|^2, e = mean of
    sum(code^2).

    The method of optimal directions (Engan, Aase & Husoy 1999, equation 5), regularised.
    """
    gram = codes.mT @ codes
    energy = gram.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None, None].clamp_min(1e-12)
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram + ridge * energy * identity, codes.mT @ x + ridge * energy * directions)


def lasso_objective(
    x: Float[Tensor, "*problem n_samples d_in"], fit: CodedDictionary, *, l1_weight: float
) -> Float[Tensor, "*problem"]:
    return sample_objectives(x, fit, l1_weight=l1_weight).mean(dim=-1)


def sample_objectives(
    x: Float[Tensor, "*problem n_samples d_in"], fit: CodedDictionary, *, l1_weight: float
) -> Float[Tensor, "*problem n_samples"]:
    return optimality.lasso_objective(x, fit.directions, fit.codes, l1_weight=l1_weight)


def _revive_dead(x: Tensor, fit: CodedDictionary, draw: torch.Generator) -> CodedDictionary:
    directions, codes = fit
    n_features = directions.shape[-2]
    is_dead = (codes != 0).sum(dim=-2) <= DEAD_FRAC * x.shape[-2]
    if not is_dead.any():
        return fit
    error = (x - codes @ directions).square().sum(dim=-1)
    seeds = draw_samples(x, error + 1e-12, n_drawn=n_features, draw=draw)
    return CodedDictionary(torch.where(is_dead[..., None], seeds, directions), codes * ~is_dead[..., None, :])


def draw_samples(
    x: Float[Tensor, "*problem n_samples d_in"],
    weights: Float[Tensor, "*problem n_samples"],
    *,
    n_drawn: int,
    draw: torch.Generator,
) -> Float[Tensor, "*problem n_drawn d_in"]:
    """Samples at norm 1, drawn with replacement in proportion to the weights."""
    flat = weights.reshape(-1, weights.shape[-1]).double().cpu()
    rows = torch.multinomial(flat, n_drawn, replacement=True, generator=draw).to(x.device)
    rows = rows.reshape(*weights.shape[:-1], n_drawn, 1).expand(*weights.shape[:-1], n_drawn, x.shape[-1])
    return functional.normalize(x.gather(-2, rows), dim=-1)
