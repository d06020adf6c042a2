"""One rule for verdicts; intervals as scipy has them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from synthetic_studies.comparison import Comparison, Spread, describe


def test_describe_is_the_t_interval() -> None:
    values = [0.3, 0.5, 0.45, 0.7]
    found = describe(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1))
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))
    assert describe([0.4]) == Spread(0.4, 0.0, 1, 0.0)
    with pytest.raises(ValueError, match="no values"):
        describe([])


@pytest.mark.parametrize(
    ("mean", "sd", "published_sd", "is_reproduced", "verdict"),
    [
        (0.54, 0.0, None, True, "within 0.05"),
        (0.46, 0.0, None, True, "within 0.05"),
        (0.60, 0.0, None, False, "higher by 0.100"),
        (0.40, 0.01, 0.01, False, "lower by 0.100"),
        (0.60, 0.03, 0.04, True, "within 2 sd (0.100)"),
        (0.61, 0.03, 0.04, False, "higher by 0.110"),
    ],
)
def test_verdicts(mean: float, sd: float, published_sd: float | None, is_reproduced: bool, verdict: str) -> None:
    found = Comparison("x", 0.5, Spread(mean, sd, 5, sd), published_sd)
    assert found.is_reproduced is is_reproduced
    assert found.verdict == verdict
