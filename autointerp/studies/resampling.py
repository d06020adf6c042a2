"""Intervals by resampling: of figures over passages of text (tokens are no independent samples), and of medians."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autointerp.stats.intervals import Interval

__all__ = ["PASSAGE_TOKENS", "median_difference", "median_interval", "passage_interval", "passages_of", "pearson"]

PASSAGE_TOKENS = 64
N_RESAMPLES = 1000

Figure = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From sums [..., n_columns] to a figure [...]."""


def passages_of(document: NDArray[np.int64], *, n_tokens: int = PASSAGE_TOKENS) -> NDArray[np.int64]:
    """[n] the number of each token's passage: stretches of `n_tokens` of one document, whose tokens lie together."""
    starts = np.flatnonzero(np.diff(document, prepend=-1))
    within = np.arange(len(document)) - np.repeat(starts, np.diff(np.append(starts, len(document))))
    is_new = within % n_tokens == 0
    return np.cumsum(is_new) - 1


def passage_interval(
    columns: NDArray[np.float64], passage: NDArray[np.int64], figure: Figure, *, rng: np.random.Generator
) -> Interval | None:
    """A figure of the sums of `columns` [n_tokens, n_columns] over all tokens, and its 95% interval by resampling
    passages (percentiles). `n` counts passages. None where the figure is undefined.
    """
    n = int(passage.max(initial=-1)) + 1
    sums = np.stack([np.bincount(passage, weights=column, minlength=n) for column in columns.T], axis=1)
    value = float(figure(sums.sum(axis=0)))
    if n < 2 or not np.isfinite(value):
        return None
    drawn = figure(rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES).astype(np.float64) @ sums)
    defined = drawn[np.isfinite(drawn)]
    if not len(defined):
        return None
    lo, hi = np.quantile(defined, [0.025, 0.975])
    return Interval(value, float(lo), float(hi), n)


def pearson(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """r from the sums of [1, x, y, x x, y y, x y]; not-a-number where one side never varies."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (n * xy - x * y) / np.sqrt(np.maximum(n * xx - x * x, 0) * np.maximum(n * yy - y * y, 0))


def median_interval(values: NDArray[np.float64], *, rng: np.random.Generator) -> Interval | None:
    """Median over features and its 95% percentile interval; None for under two."""
    if len(values) < 2:
        return None
    lo, hi = np.quantile(_medians(values, rng), [0.025, 0.975])
    return Interval(float(np.median(values)), float(lo), float(hi), len(values))


def median_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], *, rng: np.random.Generator
) -> Interval | None:
    """Difference of the medians of two sets, each resampled; `n` is the smaller one's."""
    if min(len(first), len(second)) < 2:
        return None
    lo, hi = np.quantile(_medians(first, rng) - _medians(second, rng), [0.025, 0.975])
    gap = float(np.median(first) - np.median(second))
    return Interval(gap, float(lo), float(hi), min(len(first), len(second)))


def _medians(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return np.array([np.median(rng.choice(values, len(values))) for _ in range(N_RESAMPLES)])
