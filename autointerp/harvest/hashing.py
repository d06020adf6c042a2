"""Vectorised 64-bit hashes: what draws windows, so that no draw depends on the order tokens are read in.

Takes and gives numpy arrays of unsigned 64-bit integers. Knows nothing of features or documents.
"""

from __future__ import annotations

import numpy as np

from autointerp.seeds import derive

__all__ = ["code", "mix"]

STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix(values: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit integers that scatters them (SplitMix64: Steele, Lea and Flood 2014)."""
    z = values.astype(np.uint64) + STEP
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


def code(seed: int, *names: str | int) -> np.uint64:
    """A 64-bit code of a seed and names, equal on every machine."""
    return np.uint64(derive(seed, *names))
