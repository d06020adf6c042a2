"""What methods cost in floating-point operations, in closed form: training and inference apart, before anything is run.

Takes sizes, gives whole numbers. Convention: a multiply-add is 2 operations, and products are counted (of matrices,
of a matrix with a vector, of two vectors where a method consists of them) and least squares by their factorisation. NOT
counted: elementwise work (ReLU, exp, shrinkage, biases, losses, Adam: a few operations per value, so they matter where
widths are a dozen and vanish where they are hundreds), sorting and top-k, eigenvalues for step sizes (once per call).
`n_rows` are activations, `n_steps` passes over all of them. The accounting of O'Neill et al. is in published_flops.
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
    """Codes of `n_rows` activations by one pass: 2 per weight of the encoder. hidden: widths of an MLP encoder's hidden
    layers, none for the linear-nonlinear encoder of a sparse autoencoder. is_decoded: the reconstruction, too."""
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

    Forward 2 per weight, gradient of the weights 2, gradient of the input 2. The first layer needs the last only when a
    decoder bias is subtracted from the activations under autograd (`has_input_gradient`: the `mlp` kind here; `relu`
    and `topk` carry it on a vector). n_active: mean number of active codes, where all that comes after the encoder's
    last layer is taken over active codes alone (sparse gradients, as of `relu` and `topk`); None: dense products.
    """
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=n_steps, **_widths(hidden))
    d_last = hidden[-1] if hidden else d_in
    last_layer = n_features * d_last
    n_weights = _n_weights(d_in, hidden, n_features)
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
    """Sparse coding by gradient descent on all codes and the dictionary at once (sparse_coding.log_codes): one product
    forward, one for the gradient of the codes, one for that of the dictionary."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=n_steps)
    return n_steps * n_rows * 6 * n_features * d_in


def adam_codes_flops(*, n_rows: int, d_in: int, n_features: int, n_steps: int, is_gram_used: bool = False) -> int:
    """Codes by Adam with the dictionary fixed (inference-time optimisation, `infer_log_codes`): a product forward and
    one back in every step. is_gram_used: one product with D D^T instead, found once with x D^T (inference.adam_codes
    where n_features <= 2 d_in)."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=n_steps)
    if is_gram_used:
        return _gram_setup(n_rows, d_in, n_features) + n_steps * n_rows * 2 * n_features**2
    return n_steps * n_rows * 4 * n_features * d_in


def fista_flops(*, n_rows: int, d_in: int, n_features: int, n_steps: int) -> int:
    """FISTA or ISTA (inference.proximal): per step one product with D D^T where n_features <= 2 d_in, else one with D
    and one with D^T; besides the smaller Gram matrix, from whose eigenvalues the step size is taken."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=n_steps)
    step_size = 2 * n_features * d_in * min(n_features, d_in)
    is_gram_used = n_features <= 2 * d_in
    return step_size + adam_codes_flops(
        n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=n_steps, is_gram_used=is_gram_used
    )


def matching_pursuit_flops(*, n_rows: int, d_in: int, n_features: int, n_active: int) -> int:
    """Per step all correlations with the residual, one of them again, and the residual less one direction."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_active=n_active)
    return n_rows * n_active * (2 * n_features * d_in + 4 * d_in)


def gradient_pursuit_flops(*, n_rows: int, d_in: int, n_features: int, n_active: int) -> int:
    """Per step all correlations with the residual; step s moves s codes (a sum of s directions and two dot products of
    width d_in) and takes the residual anew (a sum of s directions)."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_active=n_active)
    over_chosen = sum(4 * step * d_in + 4 * d_in for step in range(1, n_active + 1))
    return n_rows * (n_active * 2 * n_features * d_in + over_chosen)


def orthogonal_matching_pursuit_flops(*, n_rows: int, d_in: int, n_features: int, n_active: int) -> int:
    """Per step all correlations with the residual; step s adds a row to the chosen directions' Gram matrix (2 s d_in),
    factorises it (s^3 / 3), solves twice, the second time to refine (8 s^2), and takes two residuals and their
    correlations with what is chosen (6 s d_in). Codes held at 0 (non-negative) cost further solutions, which depend on
    the data and are not counted."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_active=n_active)
    over_chosen = sum(8 * s * d_in + 2 * d_in + s**3 / 3 + 8 * s**2 for s in range(1, n_active + 1))
    return round(n_rows * (n_active * 2 * n_features * d_in + over_chosen))


def lasso_lars_flops(*, n_rows: int, d_in: int, n_features: int, n_knots: int) -> int:
    """An ESTIMATE for least angle regression: the path's knots depend on the data, and scikit-learn's own steps are not
    counted by any tool. With the Gram matrix given, knot j solves with a factor of j rows (4 j^2 with its update), and
    moves all correlations (2 n_features j); n_knots: mean number of knots, about the number of active codes."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features, n_knots=n_knots)
    path = sum(4 * j**2 + 2 * n_features * j for j in range(1, n_knots + 1))
    return _gram_setup(n_rows, d_in, n_features) + n_rows * path


def least_squares_flops(*, n_rows: int, d_in: int, n_features: int) -> int:
    """One dictionary update by least squares (alternating.update_directions): codes^T codes, codes^T x, and one
    solution by LU factorisation (2/3 n^3, and 2 n^2 per column), which FlopCounterMode does not see."""
    _check(n_rows=n_rows, d_in=d_in, n_features=n_features)
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
