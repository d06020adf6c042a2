"""Intervals of figures that are no means (ratios, shares of what never occurred): the delete-a-group jackknife."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["jackknife_interval"]


def jackknife_interval(figure: float, without: Sequence[float]) -> tuple[float, float] | None:
    """95% interval of a figure from what it is `without` each group of its sample (Efron and Stein 1981).

    Student's t with one degree of freedom less than there are groups. None for fewer than two groups, and where the
    figure is not finite without one of them.
    """
    from scipy.special import stdtrit

    n = len(without)
    if n < 2 or not math.isfinite(figure) or not all(map(math.isfinite, without)):
        return None
    mean = sum(without) / n
    deviation = math.sqrt((n - 1) / n * sum((each - mean) ** 2 for each in without))
    half = float(stdtrit(n - 1, 0.975)) * deviation
    return figure - half, figure + half
