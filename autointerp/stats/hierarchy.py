"""Intervals by resampling features, a feature's documents, and repeats of a question.

Resampling features alone suffices for a mean over features; lower levels tell how well ONE feature's value is known,
and how much noise is the judge's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autointerp.stats.intervals import LEVEL, N_RESAMPLES, Interval

__all__ = ["NoiseShares", "Repeats", "feature_interval"]

Repeats = Sequence[Sequence[np.ndarray]]
"""Per document of a feature, its repeats as counts (true positive, false positive, false negative, true negative)."""

Metric = Callable[[np.ndarray], np.ndarray]
"""[n, 4] counts to [n] values, NaN where undefined."""


def feature_interval(
    feature: Repeats,
    *,
    metric: Metric,
    rng: np.random.Generator,
    bounds: tuple[float, float],
    n_resamples: int = N_RESAMPLES,
) -> Interval | None:
    """One feature's value with a percentile interval over its documents and the judge's repeats.

    None where undefined; for a single document the interval is the whole range.
    """
    documents = [np.array(document, dtype=float) for document in feature]
    if not documents:
        return None
    value = _value(documents, metric)
    if np.isnan(value):
        return None
    n = len(documents)
    if n == 1:
        return Interval(value, *bounds, n=1)
    values = metric(_resample(documents, rng, n_resamples))
    lo, hi = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(lo), float(hi), n=n)


class NoiseShares:
    """Shares of the variance of feature values, from resampling as in `feature_interval`; of a feature two numbers are
    kept.
    """

    def __init__(self, *, metric: Metric, rng: np.random.Generator, n_resamples: int = 200) -> None:
        self._metric, self._rng, self._n_resamples = metric, rng, n_resamples
        self._values: list[float] = []
        self._within: list[float] = []

    def add(self, feature: Repeats) -> None:
        documents = [np.array(document, dtype=float) for document in feature]
        if len(documents) < 2:
            return
        value = _value(documents, self._metric)
        spread = float(np.nanvar(self._metric(_resample(documents, self._rng, self._n_resamples))))
        if np.isfinite(value) and np.isfinite(spread):
            self._values.append(value)
            # drawing n of n documents with replacement spreads (n - 1) / n as far as drawing anew
            self._within.append(spread * len(documents) / (len(documents) - 1))

    def find(self) -> dict[str, float] | None:
        """`documents` (judge's noise included) and `features`, adding up to 1; None below two features with a value and
        two documents.
        """
        if len(self._values) < 2 or not (total := float(np.var(self._values, ddof=1))):
            return None
        share = min(1.0, float(np.mean(self._within)) / total)
        return {"documents": share, "features": 1 - share}


def _value(documents: Sequence[np.ndarray], metric: Metric) -> float:
    """Of the mean of each document's repeats."""
    whole = sum(document.sum(axis=0) / len(document) for document in documents)
    return float(metric(np.asarray(whole)[None, :])[0])


def _resample(documents: Sequence[np.ndarray], rng: np.random.Generator, n_resamples: int) -> np.ndarray:
    """[n_resamples, 4] counts of documents drawn with replacement, one repeat each."""
    n = len(documents)
    n_repeats = max(len(document) for document in documents)
    # documents with fewer repeats are filled by cycling: which repeat is drawn stays uniform where all have as many
    table = np.array([d if len(d) == n_repeats else d[np.arange(n_repeats) % len(d)] for d in documents])
    drawn = rng.integers(0, n, size=(n_resamples, n))
    repeats = rng.integers(0, n_repeats, size=(n_resamples, n))
    # summed over the first axis, which is half the time of the second
    return table[drawn.T, repeats.T].sum(axis=0)
