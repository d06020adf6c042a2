"""Lasso codes by scikit-learn's LARS: slow, and an independent reference for the other methods."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.inference.optimality import kkt_residual
from sae_core.inference.problem import check_problem

__all__ = ["lasso_lars"]

ACCEPTED_RESIDUAL = 1e-8
"""Largest accepted `kkt_residual`, relative to the sample's largest correlation."""


@torch.no_grad()
def lasso_lars(
    x: Float[Tensor, "batch d_in"],
    directions: Float[Tensor, "n_features d_in"],
    *,
    l1_weight: float,
    n_steps: int = 1000,
    is_non_negative: bool = True,
) -> Float[Tensor, "batch n_features"]:
    """Codes that minimise (1/2) ||x - z D||^2 + l1_weight * sum |z|, by LARS (Efron et al. 2004, section 3.1).

    Computed in float64 on the CPU; n_steps: most knots of the path. Raises WidthMismatchError, ValueError.
    """
    check_problem(x, directions)
    if l1_weight < 0 or n_steps < 1:
        raise ValueError(f"l1_weight = {l1_weight}, n_steps = {n_steps}: must be at least 0 and at least 1")
    if x.shape[0] == 0:
        return x.new_zeros(0, directions.shape[0])
    from sklearn.decomposition import sparse_encode

    signals, atoms = x.detach().double().cpu(), directions.detach().double().cpu()
    with warnings.catch_warnings():
        # What it warns of is what is looked for below.
        warnings.simplefilter("ignore")
        codes = sparse_encode(
            signals.numpy(),
            atoms.numpy(),
            algorithm="lasso_lars",
            alpha=l1_weight,
            max_iter=n_steps,
            positive=is_non_negative,
        )
    codes = torch.from_numpy(codes)
    if is_non_negative:
        codes.clamp_(min=0)  # on some processors the path ends at -6e-19 where it ends at 0
    # Ties mislead the path, and non-negative codes may leave the optimum: such samples are solved again.
    missed = kkt_residual(signals, atoms, codes, l1_weight=l1_weight, is_non_negative=is_non_negative)
    largest = (signals @ atoms.T).abs().amax(dim=1)
    rows = (~(missed <= ACCEPTED_RESIDUAL * largest)).nonzero()[:, 0]
    if rows.numel():
        codes[rows] = _coordinate_descent(signals[rows], atoms, l1_weight=l1_weight, is_non_negative=is_non_negative)
    return codes.to(device=x.device, dtype=x.dtype)


def _coordinate_descent(signals: Tensor, atoms: Tensor, *, l1_weight: float, is_non_negative: bool) -> Tensor:
    from sklearn.linear_model import Lasso

    # Its objective is ours divided by d_in; its tolerance is a duality gap relative to the signal's energy.
    lasso = Lasso(
        alpha=l1_weight / signals.shape[1],
        fit_intercept=False,
        positive=is_non_negative,
        tol=1e-14,
        max_iter=100_000,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lasso.fit(atoms.numpy().T, signals.numpy().T)
    return torch.from_numpy(lasso.coef_).reshape(signals.shape[0], atoms.shape[0])
