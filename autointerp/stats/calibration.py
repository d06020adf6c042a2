"""Calibration of probabilities: of the windows given 0.8, do eight in ten fire?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["CalibrationBin", "bins_of_counts", "calibration_counts", "calibration_curve", "calibration_error", "gap_of"]

N_BINS = 10


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Windows with a probability in [lo, hi); the last bin includes 1.0."""

    lo: float
    hi: float
    n: int
    mean_probability: float
    firing_frac: float


def calibration_curve(
    is_firing: Sequence[bool], probabilities: Sequence[float], *, n_bins: int = N_BINS
) -> tuple[CalibrationBin, ...]:
    """Non-empty bins of equal width. Raises ValueError for probabilities outside [0, 1]."""
    return bins_of_counts(calibration_counts(is_firing, probabilities, n_bins=n_bins))


def calibration_counts(
    is_firing: Sequence[bool], probabilities: Sequence[float], *, n_bins: int = N_BINS
) -> tuple[float, ...]:
    """Sums that can be added over features, per bin each: windows, probabilities, firings. Raises as
    `calibration_curve`.
    """
    truth, said = np.asarray(is_firing, dtype=float), np.asarray(probabilities, dtype=float)
    if len(truth) != len(said):
        raise ValueError(f"{len(truth)} labels for {len(said)} probabilities")
    if not np.all((said >= 0) & (said <= 1)):
        raise ValueError("probabilities must lie within [0, 1]")
    # 1.0 belongs to the last bin
    places = np.minimum((said * n_bins).astype(int), n_bins - 1)
    sums = (np.bincount(places, weights=weights, minlength=n_bins) for weights in (np.ones(len(said)), said, truth))
    return tuple(np.concatenate(list(sums)).tolist())


def bins_of_counts(counts: Sequence[float]) -> tuple[CalibrationBin, ...]:
    """Curve from (a sum of) `calibration_counts`."""
    n_bins = len(counts) // 3
    return tuple(
        CalibrationBin(
            lo=place / n_bins,
            hi=(place + 1) / n_bins,
            n=int(n),
            mean_probability=said / n,
            firing_frac=firing / n,
        )
        for place, (n, said, firing) in enumerate(
            zip(counts[:n_bins], counts[n_bins : 2 * n_bins], counts[2 * n_bins :], strict=True)
        )
        if n > 0
    )


def calibration_error(
    is_firing: Sequence[bool], probabilities: Sequence[float], *, n_bins: int = N_BINS
) -> float | None:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015), 0 is best; None without windows."""
    return gap_of(calibration_curve(is_firing, probabilities, n_bins=n_bins))


def gap_of(bins: Sequence[CalibrationBin]) -> float | None:
    n = sum(b.n for b in bins)
    return sum(b.n * abs(b.mean_probability - b.firing_frac) for b in bins) / n if n else None
