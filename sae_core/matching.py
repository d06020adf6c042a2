"""Features of one dictionary found again in another: by direction, by activation, by firing together.

Every feature gets its best match each way; similarities are computed for a block of features at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__ = ["Codes", "Matches", "match_activations", "match_directions", "match_firing", "match_masked_cosine"]

Codes = sparse.csc_array | NDArray[np.float32]
"""Codes of the same tokens, [n_tokens, n_features]: sparse ones, or dense as those of neurons."""

FEATURES_PER_BLOCK = 512

Block = Callable[[int, int], NDArray[np.float64]]
"""Similarities [end - start, n_second] of the first's features [start, end) with all of the second's."""


class Matches(NamedTuple):
    """The most similar feature each way. A feature that never varies is similar to none: 0.

    `second` [n_first] and `similarity` [n_first]: of each feature of the first; `first` and `similarity_back`
    [n_second]: of each of the second. `control` [n_first]: as `similarity`, with the second permuted. `pairs` [n_pairs,
    2] and `pair_similarity`: the one-to-one matching of largest sum.
    """

    second: NDArray[np.int64]
    similarity: NDArray[np.float64]
    first: NDArray[np.int64]
    similarity_back: NDArray[np.float64]
    control: NDArray[np.float64] | None = None
    pairs: NDArray[np.int64] | None = None
    pair_similarity: NDArray[np.float64] | None = None


def match_directions(
    first: Float[Tensor, "n_first d_in"],
    second: Float[Tensor, "n_second d_in"],
    *,
    rng: np.random.Generator | None = None,
    one_to_one: bool = False,
) -> Matches:
    """By the cosine of directions. `rng` permutes the second's coordinates for the control.

    `one_to_one` holds all similarities in memory, and takes cubic time in the number of features.
    """
    a, b = (torch.nn.functional.normalize(each.detach().cpu().double(), dim=1).numpy() for each in (first, second))
    other = None if rng is None else b[:, rng.permutation(b.shape[1])]
    return _match(
        lambda start, end: a[start:end] @ b.T,
        None if other is None else lambda start, end: a[start:end] @ other.T,
        shape=(len(a), len(b)),
        one_to_one=one_to_one,
    )


def match_activations(
    first: Codes, second: Codes, *, rng: np.random.Generator | None = None, one_to_one: bool = False
) -> Matches:
    """By Pearson's r over tokens. `rng` permutes the second's tokens for the control."""
    return _match_codes(_correlations, first, second, rng, one_to_one)


def match_firing(
    first: Codes, second: Codes, *, rng: np.random.Generator | None = None, one_to_one: bool = False
) -> Matches:
    """By the Jaccard index of the tokens with codes above 0; else as `match_activations`."""
    return _match_codes(_jaccard, _fired(first), _fired(second), rng, one_to_one)


def match_masked_cosine(
    first: Codes, second: Codes, *, rng: np.random.Generator | None = None, one_to_one: bool = False
) -> Matches:
    """By the cosine of codes over the tokens on which one of the two fires, the greater of both ways (Bricken et al.
    2023, Feature Splitting); else as `match_activations`.
    """
    return _match_codes(_masked_cosines, first, second, rng, one_to_one)


def _match_codes(
    similarities: Callable[[Any, Any], Block],
    first: Any,
    second: Any,
    rng: np.random.Generator | None,
    one_to_one: bool,
) -> Matches:
    if first.shape[0] != second.shape[0]:
        raise ValueError(f"codes of {first.shape[0]} tokens cannot be held against those of {second.shape[0]}")
    # rows of a csc array are cheap to permute through its csr form only
    permuted = None if rng is None else _rows(second, rng.permutation(second.shape[0]))
    return _match(
        similarities(first, second),
        None if permuted is None else similarities(first, permuted),
        shape=(first.shape[1], second.shape[1]),
        one_to_one=one_to_one,
    )


def _rows(codes: Any, order: NDArray[np.int64]) -> Any:
    return codes.tocsr()[order].tocsc() if sparse.issparse(codes) else codes[order]


def _match(block: Block, control: Block | None, *, shape: tuple[int, int], one_to_one: bool) -> Matches:
    n_first, n_second = shape
    if not n_first or not n_second:
        raise ValueError(f"{n_first} and {n_second} features: each side needs one")
    second, similarity = np.zeros(n_first, dtype=np.int64), np.zeros(n_first)
    first, back = np.zeros(n_second, dtype=np.int64), np.full(n_second, -np.inf)
    controls = None if control is None else np.zeros(n_first)
    kept = []
    for start in range(0, n_first, FEATURES_PER_BLOCK):
        end = min(start + FEATURES_PER_BLOCK, n_first)
        values = block(start, end)
        second[start:end], similarity[start:end] = values.argmax(axis=1), values.max(axis=1)
        is_better = values.max(axis=0) > back
        first[is_better] = start + values.argmax(axis=0)[is_better]
        back = np.maximum(back, values.max(axis=0))
        if control is not None and controls is not None:
            controls[start:end] = control(start, end).max(axis=1)
        if one_to_one:
            kept.append(values.astype(np.float32))
    if not one_to_one:
        return Matches(second, similarity, first, back, controls)
    whole = np.concatenate(kept)
    pairs = np.stack(linear_sum_assignment(whole, maximize=True), axis=1)
    return Matches(second, similarity, first, back, controls, pairs, whole[pairs[:, 0], pairs[:, 1]].astype(np.float64))


def _correlations(first: Any, second: Any) -> Block:
    n = max(1, first.shape[0])
    (mean_a, deviation_a), (mean_b, deviation_b) = _moments(first), _moments(second)

    def block(start: int, end: int) -> NDArray[np.float64]:
        covariance = _products(first, second, start, end) / n - np.outer(mean_a[start:end], mean_b)
        return _ratio(covariance, np.outer(deviation_a[start:end], deviation_b))

    return block


def _jaccard(first: Any, second: Any) -> Block:
    n_first, n_second = (np.asarray(each.sum(axis=0), dtype=np.float64).ravel() for each in (first, second))

    def block(start: int, end: int) -> NDArray[np.float64]:
        both = _products(first, second, start, end)
        return _ratio(both, n_first[start:end, None] + n_second[None] - both)

    return block


def _masked_cosines(first: Any, second: Any) -> Block:
    fired, squares = ([f(each) for each in (first, second)] for f in (_fired, _squares))
    norms = [np.sqrt(np.asarray(each.sum(axis=0), dtype=np.float64).ravel()) for each in squares]

    def block(start: int, end: int) -> NDArray[np.float64]:
        both = _products(first, second, start, end)
        # the norm of one over the tokens on which the other fires
        of_second = np.sqrt(_products(fired[0], squares[1], start, end))
        of_first = np.sqrt(_products(squares[0], fired[1], start, end))
        return np.maximum(_ratio(both, norms[0][start:end, None] * of_second), _ratio(both, of_first * norms[1][None]))

    return block


def _fired(codes: Any) -> Any:
    return (codes > 0).astype(np.float32)


def _squares(codes: Any) -> Any:
    return codes.multiply(codes).tocsc() if sparse.issparse(codes) else codes * codes


def _moments(codes: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each feature; 0 for a deviation of rounding errors only."""
    n = max(1, codes.shape[0])
    mean, square = (np.asarray(each.sum(axis=0, dtype=np.float64)).ravel() / n for each in (codes, _squares(codes)))
    variance = square - mean**2
    return mean, np.sqrt(np.where(variance > 1e-6 * square, variance, 0.0))


def _products(first: Any, second: Any, start: int, end: int) -> NDArray[np.float64]:
    """[end - start, n_second] sums over tokens of products of codes."""
    products = first[:, start:end].T @ second
    return np.asarray(products.toarray() if sparse.issparse(products) else products, dtype=np.float64)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
