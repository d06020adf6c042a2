"""Metrics of one feature under one scorer: F1 as the papers report it, and those corrected for chance.

Takes two-by-two tables (strict or lenient, see `stats.confusion`) or labels with probabilities. Every degenerate case
has a stated value: a number where convention gives one, None where nothing is defined; NaN is never returned.
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
    """2 TP / (2 TP + FP + FN), in [0, 1].

    0.0 when no firing window was called firing (so also when nothing was called firing at all); None when there
    is no firing window and none was called firing.
    """
    below = 2 * table.true_positive + table.false_positive + table.false_negative
    return 2 * table.true_positive / below if below else None


def macro_f1(table: Table) -> float | None:
    """Mean of the F1 of "fires" and of "silent", in [0, 1]: scikit-learn's `f1_score(average="macro")`.

    O'Neill et al. 2024 report it. A class that stands neither in the labels nor in the answers is left out; None when
    there is no window.
    """
    mirrored = Table(table.true_negative, table.false_negative, table.false_positive, table.true_positive)
    values = [value for side in (table, mirrored) if (value := f1(side)) is not None]
    return sum(values) / len(values) if values else None


def precision(table: Table) -> float | None:
    """TP / (TP + FP). 0.0 when nothing was called firing though some window fires; None when none does either."""
    called = table.true_positive + table.false_positive
    if called:
        return table.true_positive / called
    return 0.0 if table.n_positive else None


def recall(table: Table) -> float | None:
    """TP / (TP + FN). None when no window fires."""
    return table.true_positive / table.n_positive if table.n_positive else None


def accuracy(table: Table) -> float | None:
    """Share of windows called right. None when there is no window."""
    n = table.n_positive + table.n_negative
    return (table.true_positive + table.true_negative) / n if n else None


def balanced_accuracy(table: Table) -> float | None:
    """Mean of the shares called right among firing and among silent windows; 0.5 is chance, whatever the label counts.

    None when either kind of window is absent.
    """
    if not table.n_positive or not table.n_negative:
        return None
    return (table.true_positive / table.n_positive + table.true_negative / table.n_negative) / 2


def matthews(table: Table) -> float | None:
    """Matthews' correlation of truth and answer, in [-1, 1] (Matthews 1975).

    0.0 when truth or answers are all the same, because nothing can correlate then; None when there is no window.
    """
    tp, fp, fn, tn = table
    if not sum(table):
        return None
    below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / sqrt(below) if below else 0.0


def kappa(table: Table) -> float | None:
    """Cohen's kappa: agreement above that of independent answers with the same margins (Cohen 1960), in [-1, 1].

    0.0 when chance alone would agree everywhere (truth and answers all the same); None when there is no window.
    """
    tp, fp, fn, tn = table
    n = sum(table)
    if not n:
        return None
    chance = ((tp + fp) * (tp + fn) + (tn + fp) * (tn + fn)) / n**2
    return ((tp + tn) / n - chance) / (1 - chance) if chance < 1 else 0.0


def auroc(is_firing: Sequence[bool], probabilities: Sequence[float]) -> float | None:
    """Probability that a firing window is given a higher probability than a silent one, ties counted half.

    Of windows with a probability only; the two sequences are of one length. None when either kind of window is absent.
    Mann and Whitney 1947: the rank sum of the firing windows, shifted and scaled.
    """
    truth = np.asarray(is_firing, dtype=bool)
    n_positive, n_negative = int(truth.sum()), int((~truth).sum())
    if not n_positive or not n_negative:
        return None
    from scipy.stats import rankdata  # half a second to import, and only probabilities need it

    ranks = rankdata(np.asarray(probabilities, dtype=float))
    return float((ranks[truth].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def brier(is_firing: Sequence[bool], probabilities: Sequence[float]) -> float | None:
    """Mean squared distance of the probability from the truth (Brier 1950), 0 best. None when there is no window."""
    if not len(is_firing):
        return None
    gaps = np.asarray(probabilities, dtype=float) - np.asarray(is_firing, dtype=float)
    return float(np.mean(gaps**2))
