"""Floating-point operations of training and inference methods, in closed form.

A multiply-add counts 2. Counted: products, and least squares by their factorisation. NOT counted: elementwise work (it
matters at widths of a dozen), sorting, top-k, eigenvalues. `n_rows`: activations; `n_steps`: passes over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

__all__ = [
    "adam_codes_flops",
    "encoder_inference_flops",
    "encoder_training_flops",
    "fista_flops",
    "gradient_pursuit_flops",
    "lasso_lars_flops",
    "least_squares_flops",
    "log_codes_training_flops",
    "matching_pursuit_flops",
    "orthogonal_matching_pursuit_flops",
]


def encoder_inference_flops(
    *, n_rows: int, d_in: int, n_features: int, hidden: Sequence[int] = (), is_decoded: bool = False
) -> int:
    """Codes in one pass; `hidden`: widths of an MLP encoder's layers; `is_decoded`: with reconstruction."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, **_widths(hidden))
    per_row = 2 * _n_weights(d_in, hidden, n_features) + (2 * n_features * d_in if is_decoded else 0)
    return n_rows * per_row


def encoder_training_flops(
    *,
    n_rows: int,
    d_in: int,
    n_features: int,
    n_steps: int,
    hidden: Sequence[int] = (),
    has_input_gradient: bool = False,
    n_active: float | int | None = None,
) -> int:
    """Forward and backward passes of an encoder with a linear decoder, `n_steps` of `n_rows` each.

    has_input_gradient: for the decoder bias of kind `mlp`. n_active: mean number of active codes where gradients are
    sparse (`relu`, `topk`); None: dense products.
    """
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=n_steps, **_widths(hidden))
    d_last = hidden[-1] if hidden else d_in
    last_layer = n_features * d_last
    n_weights = _n_weights(d_in, hidden, n_features)
    # Per weight: forward 2, weight gradient 2, input gradient 2.
    forward = 2 * n_weights
    skipped = 0 if has_input_gradient else 2 * d_in * (hidden[0] if hidden else n_features)
    backward: float = 4 * n_weights - skipped
    decoder: float = 6 * n_features * d_in
    if n_active is not None:
        share = n_active / n_features
        needs_input = bool(hidden) or has_input_gradient
        dense_last = (4 if needs_input else 2) * last_layer
        backward = backward - dense_last + share * dense_last
        decoder = share * decoder
    return round(n_steps * n_rows * (forward + backward + decoder))


def log_codes_training_flops(*, n_rows: int, d_in: int, n_features: int, n_steps: int) -> int:
    """Gradient descent on codes and dictionary at once (sparse_coding.log_codes)."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=n_steps)
    return n_steps * n_rows * 6 * n_features * d_in  # a forward product and two gradients


def adam_codes_flops(*, n_rows: int, d_in: int, n_features: int, n_steps: int, is_gram_used: bool = False) -> int:
    """Codes by Adam with a fixed dictionary; is_gram_used: by D D^T (inference.adam_codes if n_features <= 2 d_in)."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=n_steps)
    if is_gram_used:
        return _gram_setup(n_rows, d_in, n_features) + n_steps * n_rows * 2 * n_features**2
    return n_steps * n_rows * 4 * n_features * d_in


def fista_flops(*, n_rows: int, d_in: int, n_features: int, n_steps: int) -> int:
    """FISTA or ISTA (inference.proximal)."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=n_steps)
    step_size = 2 * n_features * d_in * min(n_features, d_in)
    is_gram_used = n_features <= 2 * d_in
    return step_size + adam_codes_flops(
        n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=n_steps, is_gram_used=is_gram_used
    )


def matching_pursuit_flops(*, n_rows: int, d_in: int, n_features: int, n_active: int) -> int:
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_active=n_active)
    # All correlations with the residual, one of them again, and the residual's update.
    return n_rows * n_active * (2 * n_features * d_in + 4 * d_in)


def gradient_pursuit_flops(*, n_rows: int, d_in: int, n_features: int, n_active: int) -> int:
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_active=n_active)
    # Step s takes two sums of s directions (move, residual) and two dot products.
    over_chosen = sum(4 * step * d_in + 4 * d_in for step in range(1, n_active + 1))
    return n_rows * (n_active * 2 * n_features * d_in + over_chosen)


def orthogonal_matching_pursuit_flops(*, n_rows: int, d_in: int, n_features: int, n_active: int) -> int:
    """A lower bound: further solutions for non-negative codes depend on the data."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_active=n_active)
    # Step s: a row of the Gram matrix (2 s d_in), its factor (s^3 / 3), two solutions (8 s^2), two residuals with
    # their correlations (6 s d_in).
    over_chosen = sum(8 * s * d_in + 2 * d_in + s**3 / 3 + 8 * s**2 for s in range(1, n_active + 1))
    return round(n_rows * (n_active * 2 * n_features * d_in + over_chosen))


def lasso_lars_flops(*, n_rows: int, d_in: int, n_features: int, n_knots: int) -> int:
    """An ESTIMATE for least angle regression; n_knots: mean number of knots, about the number of active codes."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_knots=n_knots)
    # Knot j solves with a factor of j rows (4 j^2 with its update) and moves all correlations (2 n_features j).
    path = sum(4 * j**2 + 2 * n_features * j for j in range(1, n_knots + 1))
    return _gram_setup(n_rows, d_in, n_features) + n_rows * path


def least_squares_flops(*, n_rows: int, d_in: int, n_features: int) -> int:
    """One dictionary update (alternating.update_directions)."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features)
    # codes^T codes and codes^T x, then LU (2/3 n^3, and 2 n^2 per column).
    products = 2 * n_rows * n_features * (n_features + d_in)
    return products + round(2 / 3 * n_features**3) + 2 * n_features**2 * d_in


def _gram_setup(n_rows: int, d_in: int, n_features: int) -> int:
    return 2 * n_features**2 * d_in + n_rows * 2 * n_features * d_in


def _n_weights(d_in: int, hidden: Sequence[int], n_features: int) -> int:
    return sum(width_in * width_out for width_in, width_out in pairwise((d_in, *hidden, n_features)))


def _widths(hidden: Sequence[int]) -> dict[str, int]:
    return {f"hidden[{i}]": width for i, width in enumerate(hidden)}


def _check(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < (0 if name == "n_steps" else 1):
            raise ValueError(f"{name} = {size}: must be {'0 or more' if name == 'n_steps' else 'at least 1'}")
