from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from autointerp.stats.confusion import Table
from autointerp.stats.metrics import accuracy, auroc, balanced_accuracy, brier, f1, kappa, matthews, precision, recall

ALL = (accuracy, balanced_accuracy, f1, kappa, matthews, precision, recall)


def test_values_worked_out_by_hand():
    # 4 firing windows, 3 found; 6 silent ones, 2 false alarms.
    table = Table(true_positive=3, false_positive=2, false_negative=1, true_negative=4)
    assert f1(table) == pytest.approx(6 / 9)
    assert precision(table) == pytest.approx(3 / 5)
    assert recall(table) == pytest.approx(3 / 4)
    assert accuracy(table) == pytest.approx(0.7)
    assert balanced_accuracy(table) == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert matthews(table) == pytest.approx((3 * 4 - 2 * 1) / (5 * 4 * 6 * 5) ** 0.5)
    assert kappa(table) == pytest.approx((0.7 - 0.5) / 0.5)


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_scikit_learn(seed: int):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([[True, False], rng.random(18) < rng.random()])
    answer = np.concatenate([[True, False], rng.random(18) < rng.random()])
    probability = np.round(rng.random(20), 1)
    (tn, fp), (fn, tp) = reference.confusion_matrix(truth, answer)
    table = Table(int(tp), int(fp), int(fn), int(tn))
    pairs = [
        (f1, reference.f1_score),
        (precision, reference.precision_score),
        (recall, reference.recall_score),
        (accuracy, reference.accuracy_score),
        (balanced_accuracy, reference.balanced_accuracy_score),
        (matthews, reference.matthews_corrcoef),
        (kappa, reference.cohen_kappa_score),
    ]
    for ours, theirs in pairs:
        assert ours(table) == pytest.approx(float(theirs(truth, answer))), ours.__name__
    assert auroc(list(truth), list(probability)) == pytest.approx(float(reference.roc_auc_score(truth, probability)))
    assert brier(list(truth), list(probability)) == pytest.approx(float(reference.brier_score_loss(truth, probability)))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # All windows called silent.
        (
            Table(0, 0, 5, 5),
            {"f1": 0.0, "precision": 0.0, "recall": 0.0, "balanced_accuracy": 0.5, "matthews": 0.0, "kappa": 0.0},
        ),
        # All called firing.
        (
            Table(5, 5, 0, 0),
            {"f1": 2 / 3, "precision": 0.5, "recall": 1.0, "balanced_accuracy": 0.5, "matthews": 0.0, "kappa": 0.0},
        ),
        # No window fires and none was called firing: there is nothing to find.
        (
            Table(0, 0, 0, 5),
            {"f1": None, "precision": None, "recall": None, "balanced_accuracy": None, "matthews": 0.0, "kappa": 0.0},
        ),
        # No silent window.
        (Table(3, 0, 2, 0), {"f1": 0.75, "precision": 1.0, "recall": 0.6, "balanced_accuracy": None, "matthews": 0.0}),
        (Table(0, 0, 0, 0), {measure.__name__: None for measure in ALL}),
    ],
)
def test_degenerate_tables_have_the_stated_values(table: Table, expected: dict[str, float | None]):
    values = {measure.__name__: measure(table) for measure in ALL}
    for name, value in expected.items():
        assert values[name] == (None if value is None else pytest.approx(value)), name


def test_no_table_gives_nan_or_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cells in np.ndindex(3, 3, 3, 3):
            for measure in ALL:
                value = measure(Table(*cells))
                assert value is None or -1.0 <= value <= 1.0


def test_probabilities_of_one_class_have_no_auroc_and_none_have_no_brier():
    assert auroc([True, True], [0.2, 0.9]) is None
    assert auroc([], []) is None
    assert brier([], []) is None
    assert auroc([True, False], [0.5, 0.5]) == 0.5
    assert brier([True, False], [1.0, 0.5]) == pytest.approx(0.125)
