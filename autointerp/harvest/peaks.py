"""Local maxima of firings, the anchors of activating windows."""

from __future__ import annotations

import numpy as np

__all__ = ["find_peaks"]


def find_peaks(coordinate: np.ndarray, value: np.ndarray, *, reach: int) -> np.ndarray:
    """Indices of the firings that are the largest within `reach` on both sides; of equal ones the first.

    coordinate: [n] ascending, with firings of different features or segments more than `reach` apart. value: [n].
    """
    n = len(coordinate)
    if n == 0:
        return np.empty(0, dtype=np.int64)
    here = np.arange(n)
    first = np.searchsorted(coordinate, coordinate - reach, side="left")
    past = np.searchsorted(coordinate, coordinate + reach, side="right")
    levels = _levels(value, longest=int(max((here - first).max(), (past - here).max())))
    before = _range_max(levels, first, here)
    after = _range_max(levels, here + 1, past)
    return np.flatnonzero((before < value) & (after <= value))


def _levels(value: np.ndarray, *, longest: int) -> np.ndarray:
    """[level, n]: the maximum of the 2^level entries from each one on."""
    levels = [value]
    width = 1
    while 2 * width <= longest:
        last = levels[-1]
        longer = last.copy()
        longer[:-width] = np.maximum(last[:-width], last[width:])
        levels.append(longer)
        width *= 2
    return np.stack(levels)


def _range_max(levels: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Maximum of the entries [low, high) for each pair; minus infinity for an empty range."""
    length = high - low
    level = np.frexp(np.maximum(length, 1))[1] - 1
    # two overlapping ranges whose length is a power of two cover any range
    maximum = np.maximum(
        levels[level, np.minimum(low, levels.shape[1] - 1)], levels[level, np.maximum(high - (1 << level), 0)]
    )
    return np.where(length > 0, maximum, -np.inf)
