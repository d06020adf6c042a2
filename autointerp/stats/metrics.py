"""Metrics of one feature under one scorer.

Degenerate cases have stated values: a number by convention, else None; never NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from autointerp.stats.confusion import Table

__all__ = [
    "accuracy",
    "auroc",
    "balanced_accuracy",
    "brier",
    "f1",
    "kappa",
    "macro_f1",
    "matthews",
    "precision",
    "recall",
]


def f1(table: Table) -> float | None:
    """2 TP / (2 TP + FP + FN). 0.0 without hits, None if nothing fires or is called."""
    below = 2 * table.true_positive + table.false_positive + table.false_negative
    return 2 * table.true_positive / below if below else None


def macro_f1(table: Table) -> float | None:
    """Mean of the F1 of "fires" and of "silent" (scikit-learn's macro average; O'Neill et al. 2024).

    A class absent from labels and answers is left out; None without windows.
    """
    mirrored = Table(table.true_negative, table.false_negative, table.false_positive, table.true_positive)
    values = [value for side in (table, mirrored) if (value := f1(side)) is not None]
    return sum(values) / len(values) if values else None


def precision(table: Table) -> float | None:
    """TP / (TP + FP). 0.0 if windows fire but none is called, None if none fires either."""
    called = table.true_positive + table.false_positive
    if called:
        return table.true_positive / called
    return 0.0 if table.n_positive else None


def recall(table: Table) -> float | None:
    """TP / (TP + FN), None without firing windows."""
    return table.true_positive / table.n_positive if table.n_positive else None


def accuracy(table: Table) -> float | None:
    """Share of right answers, None without windows."""
    n = table.n_positive + table.n_negative
    return (table.true_positive + table.true_negative) / n if n else None


def balanced_accuracy(table: Table) -> float | None:
    """Mean of the right shares among firing and silent windows; chance is 0.5. None if either kind is absent."""
    if not table.n_positive or not table.n_negative:
        return None
    return (table.true_positive / table.n_positive + table.true_negative / table.n_negative) / 2


def matthews(table: Table) -> float | None:
    """Matthews' correlation of truth and answer (Matthews 1975). 0.0 if either is constant, None without windows."""
    tp, fp, fn, tn = table
    if not sum(table):
        return None
    below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / sqrt(below) if below else 0.0


def kappa(table: Table) -> float | None:
    """Agreement above chance (Cohen 1960). 0.0 if chance agreement is complete, None without windows."""
    tp, fp, fn, tn = table
    n = sum(table)
    if not n:
        return None
    chance = ((tp + fp) * (tp + fn) + (tn + fp) * (tn + fn)) / n**2
    return ((tp + tn) / n - chance) / (1 - chance) if chance < 1 else 0.0


def auroc(is_firing: Sequence[bool], probabilities: Sequence[float]) -> float | None:
    """Probability that a firing window ranks above a silent one, ties half (Mann and Whitney 1947).

    None if either kind is absent.
    """
    truth = np.asarray(is_firing, dtype=bool)
    n_positive, n_negative = int(truth.sum()), int((~truth).sum())
    if not n_positive or not n_negative:
        return None
    from scipy.stats import rankdata  # half a second to import, and only probabilities need it

    # Mann-Whitney's U: the firing windows' rank sum less its least value
    ranks = rankdata(np.asarray(probabilities, dtype=float))
    return float((ranks[truth].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def brier(is_firing: Sequence[bool], probabilities: Sequence[float]) -> float | None:
    """Mean squared error of probabilities (Brier 1950), 0 is best; None without windows."""
    if not len(is_firing):
        return None
    gaps = np.asarray(probabilities, dtype=float) - np.asarray(is_firing, dtype=float)
    return float(np.mean(gaps**2))
