"""From balanced score sets to the true prevalence of firing: recall and false-alarm rate carry over, precision and F1
do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from autointerp.stats.intervals import Interval

__all__ = [
    "Corrected",
    "Rates",
    "f1_at",
    "pooled_at",
    "pooled_values",
    "precision_at",
    "rogan_gladen",
    "weighted_recall",
    "window_prevalence",
]

N_RESAMPLES = 2000
_CHUNK_DRAWS = 4_000_000


class Corrected(NamedTuple):
    """Share corrected for a judge's errors, with 95% interval, within [0, 1]."""

    value: float
    lo: float
    hi: float


def precision_at(prevalence: float, *, recall: float, false_alarm: float) -> float | None:
    """Firing share of windows called firing (Bayes); None if none is called."""
    _check(prevalence, recall, false_alarm)
    called = prevalence * recall + (1 - prevalence) * false_alarm
    return prevalence * recall / called if called else None


def f1_at(prevalence: float, *, recall: float, false_alarm: float) -> float | None:
    """0.0 without hits, None if nothing fires or is called."""
    precision = precision_at(prevalence, recall=recall, false_alarm=false_alarm)
    if precision is None:
        return 0.0 if prevalence else None
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def window_prevalence(density: float, *, n_tokens: int) -> float:
    """Share of windows of `n_tokens` with a firing, at a token density. An upper bound, exact for unclustered
    firings.
    """
    _check(density)
    return 1 - (1 - density) ** n_tokens


def weighted_recall(right: dict[int, tuple[int, int]], weights: dict[int, float]) -> float | None:
    """Recall from (right, asked) per stratum, weighted by each stratum's share of firing windows.

    Strata without windows are left out; None without any.
    """
    asked = {stratum: counts for stratum, counts in right.items() if counts[1]}
    total = sum(weights.get(stratum, 0.0) for stratum in asked)
    if total <= 0:
        return None
    return sum(weights.get(stratum, 0.0) * n_right / n for stratum, (n_right, n) in asked.items()) / total


class Rates(NamedTuple):
    """One feature's prevalence, recall and false-alarm rate."""

    prevalence: float
    recall: float
    false_alarm: float


def pooled_at(features: Sequence[Rates], *, rng: np.random.Generator) -> tuple[Interval, Interval] | None:
    """(precision, F1) over all windows of all features, with 95% bootstrap intervals over features.

    Sums are divided, not ratios averaged, so few windows per feature do not bias; frequent features weigh more. None
    where nothing fires or is called.
    """
    pooled = pooled_values(features)
    if pooled is None:
        return None
    sums, n = _sums(features), len(features)
    rows = max(1, _CHUNK_DRAWS // n)
    # per resample, how often each feature is drawn
    drawn = [
        sums @ rng.multinomial(n, np.full(n, 1 / n), size=min(rows, N_RESAMPLES - start)).T
        for start in range(0, N_RESAMPLES, rows)
    ]
    drawn_right, drawn_called, drawn_firing = np.concatenate(drawn, axis=1)
    precisions = np.divide(drawn_right, drawn_called, out=np.zeros(N_RESAMPLES), where=drawn_called > 0)
    scores = np.divide(2 * drawn_right, drawn_called + drawn_firing)
    return _interval(pooled[0], precisions, n), _interval(pooled[1], scores, n)


def pooled_values(features: Sequence[Rates]) -> tuple[float, float] | None:
    """`pooled_at` without intervals."""
    right, called, firing = _sums(features).sum(axis=1)
    if called == 0 or firing == 0:
        return None
    return float(right / called), float(2 * right / (called + firing))


def _sums(features: Sequence[Rates]) -> np.ndarray:
    """[3, n_features] shares of windows called rightly, called and firing."""
    prevalence, recall, false_alarm = np.array(features, dtype=float).reshape(-1, 3).T
    return np.stack([prevalence * recall, prevalence * recall + (1 - prevalence) * false_alarm, prevalence])


def _interval(value: float, drawn: np.ndarray, n: int) -> Interval:
    lo, hi = np.quantile(drawn, [0.025, 0.975]) if n > 1 else (0.0, 1.0)
    return Interval(value, float(lo), float(hi), n)


def rogan_gladen(
    called: float, *, n: int, sensitivity: float, n_positive: int, specificity: float, n_negative: int
) -> Corrected | None:
    """True firing share behind a share `called`, for a judge of known errors (Rogan and Gladen 1978): (called +
    specificity - 1) / (sensitivity + specificity - 1).

    Delta-method interval over the errors of all three shares. None for a judge no better than chance.
    """
    _check(called, sensitivity, specificity)
    skill = sensitivity + specificity - 1
    if skill <= 0 or min(n, n_positive, n_negative) < 1:
        return None
    value = (called + specificity - 1) / skill
    variance = (
        called * (1 - called) / n
        + value**2 * sensitivity * (1 - sensitivity) / n_positive
        + (1 - value) ** 2 * specificity * (1 - specificity) / n_negative
    ) / skill**2
    reach = float(ndtri(0.975)) * sqrt(variance)
    return Corrected(*(min(1.0, max(0.0, bound)) for bound in (value, value - reach, value + reach)))


def _check(*shares: float) -> None:
    if any(not 0 <= share <= 1 for share in shares):
        raise ValueError(f"shares must lie within [0, 1], not {shares}")
