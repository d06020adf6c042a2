"""Intervals of ratios and of tables of sums."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autointerp.stats.intervals import LEVEL, Interval

__all__ = ["resampled_interval"]

N_RESAMPLES = 2000


def resampled_interval(
    rows: np.ndarray,
    measure: Callable[[np.ndarray], float | None],
    *,
    rng: np.random.Generator,
    value: float | None = None,
) -> Interval | None:
    """`measure` of the summed rows, one per cluster, with its 95% percentile interval over resampled clusters.

    `value`: the figure, where known. Resamples with an undefined figure are left out.
    """
    n = len(rows)
    whole = measure(rows.sum(axis=0)) if n and value is None else value
    if whole is None or not n:
        return None
    draws = rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES) @ rows
    figures = [one for row in draws if (one := measure(row)) is not None]
    lo, hi = np.quantile(figures, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(whole), float(lo), float(hi), n)
