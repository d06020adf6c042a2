"""The smallest difference a number of features can show, so that nobody reads noise as a ranking."""

from __future__ import annotations

from math import sqrt

from scipy.special import ndtri

__all__ = ["features_needed", "smallest_difference"]


def smallest_difference(
    n_features: int, *, deviation: float, n_other: int | None = None, level: float = 0.05, power: float = 0.8
) -> float:
    """Difference of two means that a two-sided test at `level` finds with probability `power`.

    Normal approximation: (z(1 - level / 2) + z(power)) * deviation * sqrt(1 / n + 1 / n_other), where `deviation` is
    the standard deviation over features and both sets are of `n_features` unless `n_other` says otherwise.
    """
    other = n_features if n_other is None else n_other
    if n_features < 1 or other < 1 or deviation < 0:
        raise ValueError(f"needs n >= 1 and deviation >= 0, not {n_features}, {other} and {deviation}")
    return float((ndtri(1 - level / 2) + ndtri(power)) * deviation * sqrt(1 / n_features + 1 / other))


def features_needed(difference: float, *, deviation: float, level: float = 0.05, power: float = 0.8) -> int:
    """Features per set for `difference` to be the smallest one that can be shown (at least 2)."""
    if difference <= 0 or deviation < 0:
        raise ValueError(f"needs difference > 0 and deviation >= 0, not {difference} and {deviation}")
    quotient = (ndtri(1 - level / 2) + ndtri(power)) * deviation / difference
    # Half a unit in the last place must not cost a feature.
    return max(2, int(-(-(2 * quotient**2 - 1e-9) // 1)))
