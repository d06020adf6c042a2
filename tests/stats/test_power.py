from __future__ import annotations

import pytest

from autointerp.seeds import stream
from autointerp.stats.power import features_needed, smallest_difference


def test_known_value():
    # (1.960 + 0.842) * 0.25 * sqrt(2 / 200)
    assert smallest_difference(200, deviation=0.25) == pytest.approx(0.0700, abs=1e-4)


def test_a_difference_of_that_size_is_found_in_four_tests_of_five():
    n, deviation = 100, 0.2
    gap = smallest_difference(n, deviation=deviation)
    rng = stream(0, "power")
    first, second = rng.normal(gap, deviation, (2000, n)), rng.normal(0, deviation, (2000, n))
    z = (first.mean(1) - second.mean(1)) / (deviation * (2 / n) ** 0.5)
    assert (abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.03)


def test_features_needed_inverts_it():
    n = features_needed(0.07, deviation=0.25)
    assert smallest_difference(n, deviation=0.25) <= 0.07 < smallest_difference(n - 1, deviation=0.25)
    with pytest.raises(ValueError, match="difference > 0"):
        features_needed(0.0, deviation=0.25)
    with pytest.raises(ValueError, match="n >= 1"):
        smallest_difference(0, deviation=0.25)
