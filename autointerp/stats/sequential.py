"""Intervals that hold at every look together.

Error is spent over looks (Lan and DeMets 1983), with intervals widened accordingly (repeated confidence intervals,
Jennison and Turnbull 1989), so that one may stop at any look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import e, log, sqrt
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from autointerp.stats.intervals import Interval

__all__ = ["LEVEL", "Spending", "critical_values", "repeated_interval"]

Spending = Literal["obrien_fleming", "pocock"]
"""`obrien_fleming` spends little early and keeps the last look cheap; `pocock` spends evenly."""

LEVEL = 0.95
_N_GRID = 801
_WIDEST = 8.0


@dataclass(frozen=True, slots=True)
class _Look:
    """Density of sqrt(information) * z before a look."""

    grid: np.ndarray
    density: np.ndarray


def spent(fraction: float, *, level: float, spending: Spending) -> float:
    """Two-sided error spent at an information `fraction` (Lan and DeMets 1983)."""
    alpha = 1 - level
    if spending == "obrien_fleming":
        return float(4 * ndtr(-ndtri(1 - alpha / 4) / sqrt(fraction)))
    return alpha * log(1 + (e - 1) * fraction)


@lru_cache(maxsize=256)
def critical_values(
    fractions: tuple[float, ...], *, level: float = LEVEL, spending: Spending = "pocock"
) -> tuple[float, ...]:
    """Half-widths in standard errors, for looks at rising `fractions` of the information.

    By numerical integration (Armitage, McPherson and Rowe 1969). Raises ValueError unless fractions rise within (0, 1].
    """
    if not fractions or any(not 0 < f <= 1 for f in fractions) or list(fractions) != sorted(set(fractions)):
        raise ValueError(f"shares of the information must rise within (0, 1], not {fractions}")
    values: list[float] = []
    before: _Look | None = None
    paid, earlier = 0.0, 0.0
    for fraction in fractions:
        due = spent(fraction, level=level, spending=spending)
        step = sqrt(fraction - earlier)
        crossing = _crossing(before, step)
        value = _solve(lambda z, f=fraction, c=crossing: c(z * sqrt(f)), due - paid)
        values.append(value)
        before = _advance(before, step, bound=value * sqrt(fraction))
        paid, earlier = due, fraction
    return tuple(values)


def repeated_interval(
    values: Sequence[float], *, critical_value: float, bounds: tuple[float, float]
) -> Interval | None:
    """Mean and interval of one look; None without values.

    Critical values are widened as Student's t. One value or equal values have the whole range `bounds`.
    """
    sample = np.asarray(values, dtype=float)
    n = len(sample)
    if not n:
        return None
    mean = float(sample.mean())
    spread = float(sample.std(ddof=1)) if n > 1 else 0.0
    if spread == 0.0:
        return Interval(mean, *bounds, n=n)
    reach = -float(stdtrit(n - 1, ndtr(-critical_value))) * spread / sqrt(n)
    return Interval(mean, max(bounds[0], mean - reach), min(bounds[1], mean + reach), n)


def _crossing(before: _Look | None, step: float) -> Callable[[float], float]:
    """Probability of the first crossing of +-bound at this look."""
    if before is None:
        return lambda bound: float(2 * ndtr(-bound / step))
    grid, weights = before.grid, before.density * (before.grid[1] - before.grid[0])
    return lambda bound: float(weights @ (ndtr((-bound - grid) / step) + ndtr((grid - bound) / step)))


def _solve(chance: Callable[[float], float], wanted: float) -> float:
    """Bound crossed with probability `wanted`."""
    low, high = 0.0, _WIDEST
    # 60 halvings reach the precision of a float
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) > wanted else (low, middle)
    return (low + high) / 2


def _advance(before: _Look | None, step: float, *, bound: float) -> _Look:
    """Density within +-bound after this look."""
    grid = np.linspace(-bound, bound, _N_GRID)
    if before is None:
        density = np.exp(-0.5 * (grid / step) ** 2) / (step * sqrt(2 * np.pi))
    else:
        kernel = np.exp(-0.5 * ((grid[:, None] - before.grid[None, :]) / step) ** 2) / (step * sqrt(2 * np.pi))
        density = kernel @ before.density * (before.grid[1] - before.grid[0])
    density[[0, -1]] /= 2  # the ends of the trapezoid rule
    return _Look(grid, density)
