"""Looking at a result while it grows: intervals that hold at every look together, because the error is spent once.

Whoever stops as soon as an ordinary interval excludes 0 is wrong far more often than one time in twenty. Here a share
of the error is spent at each look (Lan and DeMets 1983), and the interval of a look is as much wider as that takes
(repeated confidence intervals, Jennison and Turnbull 1989): all of them cover at once with the stated level, so one may
stop at whichever is narrow enough, or excludes 0. Takes numbers only.
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
"""`obrien_fleming` spends almost nothing early, so the last look costs little; `pocock` about the same at each."""

LEVEL = 0.95
_N_GRID = 801
_WIDEST = 8.0


@dataclass(frozen=True, slots=True)
class _Look:
    """Where the test statistic stands before a look: a density over a grid of sqrt(information) * z."""

    grid: np.ndarray
    density: np.ndarray


def spent(fraction: float, *, level: float, spending: Spending) -> float:
    """The error of both sides spent by the time `fraction` of the information is in (Lan and DeMets 1983)."""
    alpha = 1 - level
    if spending == "obrien_fleming":
        return float(4 * ndtr(-ndtri(1 - alpha / 4) / sqrt(fraction)))
    return alpha * log(1 + (e - 1) * fraction)


@lru_cache(maxsize=256)
def critical_values(
    fractions: tuple[float, ...], *, level: float = LEVEL, spending: Spending = "pocock"
) -> tuple[float, ...]:
    """How many standard errors wide each look's interval must be, for looks at rising shares of the information.

    The last share need not be 1: what is left is never spent. Found by numerical integration over the looks (Armitage,
    McPherson and Rowe 1969). Raises ValueError for shares that do not rise within (0, 1].
    """
    if not fractions or any(not 0 < f <= 1 for f in fractions) or list(fractions) != sorted(set(fractions)):
        raise ValueError(f"shares of the information must rise within (0, 1], not {fractions}")
    found: list[float] = []
    before: _Look | None = None
    paid, earlier = 0.0, 0.0
    for fraction in fractions:
        due = spent(fraction, level=level, spending=spending)
        step = sqrt(fraction - earlier)
        crossing = _crossing(before, step)
        value = _solve(lambda z, f=fraction, c=crossing: c(z * sqrt(f)), due - paid)
        found.append(value)
        before = _advance(before, step, bound=value * sqrt(fraction))
        paid, earlier = due, fraction
    return tuple(found)


def repeated_interval(
    values: Sequence[float], *, critical_value: float, bounds: tuple[float, float]
) -> Interval | None:
    """Mean and interval of one look; `critical_value` is that look's. None for no value.

    For few values the critical value is widened as Student's t is against the normal at the same error. One value, or
    values all the same, say nothing about the spread: their interval is the whole range of the measure.
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
    """The chance that the statistic is outside +-bound at this look and was inside at every look before."""
    if before is None:
        return lambda bound: float(2 * ndtr(-bound / step))
    grid, weights = before.grid, before.density * (before.grid[1] - before.grid[0])
    return lambda bound: float(weights @ (ndtr((-bound - grid) / step) + ndtr((grid - bound) / step)))


def _solve(chance: Callable[[float], float], wanted: float) -> float:
    """The bound whose chance of crossing is `wanted`; that chance falls as the bound rises."""
    low, high = 0.0, _WIDEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) > wanted else (low, middle)
    return (low + high) / 2


def _advance(before: _Look | None, step: float, *, bound: float) -> _Look:
    """The density within +-bound after this look, for those that have not crossed."""
    grid = np.linspace(-bound, bound, _N_GRID)
    if before is None:
        density = np.exp(-0.5 * (grid / step) ** 2) / (step * sqrt(2 * np.pi))
    else:
        kernel = np.exp(-0.5 * ((grid[:, None] - before.grid[None, :]) / step) ** 2) / (step * sqrt(2 * np.pi))
        density = kernel @ before.density * (before.grid[1] - before.grid[0])
    density[[0, -1]] /= 2  # the ends of the trapezoid rule
    return _Look(grid, density)
