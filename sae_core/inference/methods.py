"""Inference methods by name: codes for given directions.

Pursuits stop at a number of active features; the others minimise (1/2) ||x - z D||^2 + l1_weight * sum z per sample, in
the activations' own units.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.dictionary import SparseCode
from sae_core.inference.adam_codes import adam_codes
from sae_core.inference.gradient_pursuit import gradient_pursuit
from sae_core.inference.lasso_lars import lasso_lars
from sae_core.inference.matching_pursuit import matching_pursuit
from sae_core.inference.orthogonal_matching_pursuit import orthogonal_matching_pursuit
from sae_core.inference.problem import row_chunks
from sae_core.inference.proximal import fista, ista

__all__ = ["METHODS", "InferenceOptions", "Method", "infer", "method_named", "warm_startable"]

ADAM_LEARNING_RATE = 3e-3
"""The rate of O'Neill et al. (arXiv 2411.13117) for inference."""


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    n_active: int = 32  # most active features of a pursuit
    l1_weight: float = 0.1
    n_steps: int = 100
    is_non_negative: bool = True
    tolerance: float | None = None  # of ista and fista


@dataclass(frozen=True)
class Method:
    """One method. run: (x, directions, options, dense start or None) -> codes."""

    run: Callable[[Tensor, Tensor, InferenceOptions, Tensor | None], SparseCode | Tensor]
    is_pursuit: bool = False
    """Whether `n_active` bounds the codes, instead of `l1_weight` and `n_steps`."""
    takes_warm_start: bool = False


def _gradient_pursuit(x: Tensor, directions: Tensor, options: InferenceOptions, start: Tensor | None) -> SparseCode:
    return gradient_pursuit(x, directions, n_active=options.n_active, is_non_negative=options.is_non_negative)


def _omp(x: Tensor, directions: Tensor, options: InferenceOptions, start: Tensor | None) -> SparseCode:
    return orthogonal_matching_pursuit(
        x, directions, n_active=options.n_active, is_non_negative=options.is_non_negative
    )


def _matching_pursuit(x: Tensor, directions: Tensor, options: InferenceOptions, start: Tensor | None) -> SparseCode:
    return matching_pursuit(x, directions, n_steps=options.n_active, is_non_negative=options.is_non_negative)


def _proximal(solve: Callable[..., Tensor]) -> Callable[[Tensor, Tensor, InferenceOptions, Tensor | None], Tensor]:
    return lambda x, directions, options, start: solve(
        x,
        directions,
        l1_weight=options.l1_weight,
        n_steps=options.n_steps,
        is_non_negative=options.is_non_negative,
        warm_start=start,
        tolerance=options.tolerance,
    )


def _adam(x: Tensor, directions: Tensor, options: InferenceOptions, start: Tensor | None) -> Tensor:
    if not options.is_non_negative:
        raise ValueError('method "adam" has codes of 0 or more only; use "fista" for signed codes')
    return adam_codes(
        x,
        directions,
        l1_weight=options.l1_weight,
        n_steps=options.n_steps,
        learning_rate=ADAM_LEARNING_RATE,
        warm_start=start,
    )


def _lasso_lars(x: Tensor, directions: Tensor, options: InferenceOptions, start: Tensor | None) -> Tensor:
    return lasso_lars(x, directions, l1_weight=options.l1_weight, is_non_negative=options.is_non_negative)


METHODS: dict[str, Method] = {
    "gradient_pursuit": Method(_gradient_pursuit, is_pursuit=True),
    "omp": Method(_omp, is_pursuit=True),
    "matching_pursuit": Method(_matching_pursuit, is_pursuit=True),
    "fista": Method(_proximal(fista), takes_warm_start=True),
    "ista": Method(_proximal(ista), takes_warm_start=True),
    "adam": Method(_adam, takes_warm_start=True),
    "lasso_lars": Method(_lasso_lars),
}


def method_named(name: str) -> Method:
    """The method of that name. Raises ValueError with the known names and the nearest one."""
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name, METHODS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"method = {name!r}: unknown; known methods: {', '.join(METHODS)}{hint}")


def warm_startable() -> str:
    return ", ".join(name for name, method in METHODS.items() if method.takes_warm_start)


@torch.no_grad()
def infer(
    x: Float[Tensor, "batch d_in"],
    directions: Float[Tensor, "n_features d_in"],
    *,
    method: str,
    n_active: int = 32,
    l1_weight: float = 0.1,
    n_steps: int = 100,
    warm_start: Float[Tensor, "batch n_features"] | None = None,
    is_non_negative: bool = True,
    tolerance: float | None = None,
) -> SparseCode:
    """Codes of `x` by one method, in chunks of rows without a dense code of the whole batch.

    Unused arguments are ignored. Raises ValueError for an unknown method or a warm start it cannot take,
    WidthMismatchError.
    """
    chosen = method_named(method)
    if warm_start is not None and not chosen.takes_warm_start:
        raise ValueError(f"method {method!r} starts from nothing; a warm start is taken by {warm_startable()}")
    options = InferenceOptions(
        n_active=n_active,
        l1_weight=l1_weight,
        n_steps=n_steps,
        is_non_negative=is_non_negative,
        tolerance=tolerance,
    )
    parts = []
    for rows in row_chunks(x.shape[0], values_per_row=directions.shape[0], device=x.device) or [slice(0, 0)]:
        start = None if warm_start is None else warm_start[rows]
        codes = chosen.run(x[rows], directions, options, start)
        parts.append(codes if isinstance(codes, SparseCode) else SparseCode.from_dense(codes))
    return SparseCode.join(parts)
