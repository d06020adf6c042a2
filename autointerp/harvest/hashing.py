"""Vectorised 64-bit hashes for draws that do not depend on reading order."""

from __future__ import annotations

import numpy as np

from autointerp.seeds import derive

__all__ = ["code", "mix"]

STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix(values: np.ndarray) -> np.ndarray:
    """A bijection that scatters 64-bit integers (SplitMix64: Steele, Lea and Flood 2014)."""
    z = values.astype(np.uint64) + STEP
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


def code(seed: int, *names: str | int) -> np.uint64:
    """A 64-bit code of a seed and names, equal on every machine."""
    return np.uint64(derive(seed, *names))
