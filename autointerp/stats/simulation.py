"""Agreement of predicted with true activations, token by token, in any unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.stats.confusion import Table

__all__ = [
    "Rows",
    "absolute_deviation_explained",
    "calibrated",
    "correlation",
    "explained_variance",
    "firing_table",
    "quantise",
    "rank_correlation",
    "rsquared",
    "within_window_correlation",
]

Rows = Sequence[tuple[Sequence[float], Sequence[float]]]
"""(true, predicted) per window, of equal length."""


def correlation(rows: Rows) -> float | None:
    """Pearson's r over all tokens (correlation score, Bills et al. 2023); None without variation.

    Differences BETWEEN windows dominate; `within_window_correlation` is blind to them.
    """
    truth, predicted = _flat(rows)
    return _pearson(truth, predicted)


def within_window_correlation(rows: Rows) -> float | None:
    """Mean Pearson's r within windows where the feature varies, 0.0 for constant predictions; None without such
    windows.
    """
    values = []
    for truth, predicted in rows:
        if np.ptp(truth) > 0:
            value = _pearson(np.asarray(truth, dtype=float), np.asarray(predicted, dtype=float))
            values.append(0.0 if value is None else value)
    return float(np.mean(values)) if values else None


def rank_correlation(rows: Rows, *, n_levels: int = 10) -> float | None:
    """Spearman's rho with activations quantised to `n_levels` (Bricken et al. 2023); None without variation."""
    from scipy.stats import rankdata

    truth, predicted = _flat(rows)
    if not len(truth):
        return None
    return _pearson(rankdata(quantise(truth, maximum=float(truth.max()), n_levels=n_levels)), rankdata(predicted))


def explained_variance(rows: Rows) -> float | None:
    """Variance explained after the best linear calibration (Bills et al. 2023): r squared, 0.0 for a falling line or
    constant predictions. None for a constant feature.
    """
    truth, predicted = _flat(rows)
    if not len(truth) or np.ptp(truth) == 0:
        return None
    r = _pearson(truth, predicted)
    return 0.0 if r is None or r < 0 else r**2


def calibrated(rows: Rows) -> list[tuple[Sequence[float], Sequence[float]]]:
    """Rows with predictions in the activations' unit, by a line fitted on all OTHER windows.

    Bills et al. 2023 use separate windows. With constant predictions the line is the mean; a single window is predicted
    silent.
    """
    rows = list(rows)
    parts = [_moments(*_flat([row])) for row in rows]
    whole = np.sum(parts, axis=0) if parts else np.zeros(5)
    pairs: list[tuple[Sequence[float], Sequence[float]]] = []
    for (truth, predicted), part in zip(rows, parts, strict=True):
        # the sums of all other windows
        slope, intercept = _line(*(whole - part))
        values = slope * np.asarray(predicted, dtype=float) + intercept
        pairs.append((truth, tuple(values.tolist())))
    return pairs


def rsquared(rows: Rows) -> float | None:
    """1 - mean squared error / mean square (`rsquared_score`, Bills et al. 2023): predicting silence gives 0. None for
    a silent feature. Predictions must be `calibrated`.
    """
    truth, predicted = _flat(rows)
    return None if not np.any(truth) else float(1 - np.mean((truth - predicted) ** 2) / np.mean(truth**2))


def absolute_deviation_explained(rows: Rows) -> float | None:
    """`rsquared` with absolute values (`absolute_dev_explained_score`, Bills et al. 2023)."""
    truth, predicted = _flat(rows)
    return None if not np.any(truth) else float(1 - np.mean(np.abs(truth - predicted)) / np.mean(np.abs(truth)))


def firing_table(rows: Rows, *, threshold: float) -> Table:
    """Tokens by firing and by predictions of at least `threshold`."""
    truth, predicted = _flat(rows)
    fires, said = truth > 0, predicted >= threshold
    return Table(
        true_positive=int(np.sum(fires & said)),
        false_positive=int(np.sum(~fires & said)),
        false_negative=int(np.sum(fires & ~said)),
        true_negative=int(np.sum(~fires & ~said)),
    )


def quantise(activations: Sequence[float] | np.ndarray, *, maximum: float, n_levels: int = 10) -> np.ndarray:
    """Integers: 0 where silent, 1 to `n_levels` in equal steps up to `maximum` (Bills et al. 2023); firing is
    never 0.
    """
    values = np.asarray(activations, dtype=float)
    if maximum <= 0:
        return np.zeros(len(values), dtype=int)
    levels = np.clip(np.floor(values * n_levels / maximum), 1, n_levels)
    return np.where(values > 0, levels, 0).astype(int)


def _moments(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Count and sums of x, y, xx, xy, from predictions x to activations y."""
    return np.array([len(truth), predicted.sum(), truth.sum(), (predicted**2).sum(), (predicted * truth).sum()])


def _line(n: float, x: float, y: float, xx: float, xy: float) -> tuple[float, float]:
    """Slope and intercept of the least-squares line."""
    if n < 1:
        return 0.0, 0.0
    spread = xx - x * x / n
    slope = (xy - x * y / n) / spread if spread > 1e-9 * max(1.0, xx) else 0.0
    return float(slope), float((y - slope * x) / n)


def _flat(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    for truth, predicted in rows:
        if len(truth) != len(predicted):
            raise ValueError(f"{len(predicted)} predictions for {len(truth)} tokens")
    truth = [value for row, _ in rows for value in row]
    return np.asarray(truth, dtype=float), np.asarray([value for _, row in rows for value in row], dtype=float)


def _pearson(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1.0, 1.0))
