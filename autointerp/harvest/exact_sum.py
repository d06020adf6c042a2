"""Sums of float64 arrays that do not depend on the order of what is added, so that parts of a stream merge exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["ExactSum"]

# adding and taking away 1.5 * 2^52 steps rounds to whole steps; sums of whole steps are exact up to 2^53 of them
_COARSE_STEP, _FINE_STEP = 2.0**-10, 2.0**-43
_COARSE, _FINE = 1.5 * 2.0**52 * _COARSE_STEP, 1.5 * 2.0**52 * _FINE_STEP


class ExactSum:
    """Sum of numpy arrays or tensors of one shape, float64, in two parts that are added up without rounding.

    Each addend is rounded to 2^-43 and is below 2^41; exact for up to 2^21 addends and sums below 2^43 (Demmel & Nguyen
    2013, with fixed bins).
    """

    def __init__(self) -> None:
        self._coarse: Any = 0.0
        self._fine: Any = 0.0

    def add(self, x: Any) -> None:
        coarse = (x + _COARSE) - _COARSE
        self._coarse = self._coarse + coarse
        self._fine = self._fine + ((x - coarse + _FINE) - _FINE)

    def merge(self, other: ExactSum) -> None:
        self._coarse = self._coarse + other._coarse
        self._fine = self._fine + other._fine

    def apply(self, function: Callable[[Any], Any]) -> None:
        """Replace both parts, as by copies elsewhere."""
        self._coarse, self._fine = function(self._coarse), function(self._fine)

    @property
    def total(self) -> Any:
        """0.0 where nothing was added."""
        return self._coarse + self._fine
