"""p-values and Holm's correction against hand-computed and library values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from autointerp.stats.multiplicity import difference_p_value, holm


def test_holm_by_hand() -> None:
    # sorted: .01 x 4, .02 x 3, .03 x 2, .5 x 1, never falling
    assert holm([0.03, 0.01, None, 0.5, 0.02]) == [
        pytest.approx(0.06),
        pytest.approx(0.04),
        None,
        pytest.approx(0.5),
        pytest.approx(0.06),
    ]


def test_holm_never_exceeds_one() -> None:
    assert holm([0.9, 0.8, 0.7]) == [1.0, 1.0, 1.0]


def test_p_values_are_the_libraries() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 0.2, 80), rng.normal(0.5, 0.2, 80)
    assert difference_p_value(a, b, is_paired=False) == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue)
    assert difference_p_value(a, b, is_paired=True) == pytest.approx(ttest_rel(a, b).pvalue)


@pytest.mark.parametrize(
    ("a", "b", "is_paired"), [([1.0], [0.5, 0.6], False), ([1, 1], [1, 1], True), ([1, 1], [0, 0], False)]
)
def test_undefined_is_none(a: list[float], b: list[float], is_paired: bool) -> None:
    assert difference_p_value(a, b, is_paired=is_paired) is None
