"""Rates rise, stay and fall where the configuration says."""

from __future__ import annotations

import pytest

from sae_core.config import TrainingConfig
from sae_core.training.schedule import l1_factor, learning_rate_factor


def test_learning_rate_is_a_trapezium() -> None:
    config = TrainingConfig(warmup_frac=0.1, decay_frac=0.2)
    shape = [learning_rate_factor(p, config) for p in (0.0, 0.05, 0.1, 0.5, 0.8, 0.9, 1.0)]
    assert shape == pytest.approx([0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0])


def test_no_warm_up_and_no_decay_mean_a_constant() -> None:
    config = TrainingConfig(warmup_frac=0.0, decay_frac=0.0, l1_warmup_frac=0.0)
    assert {learning_rate_factor(p, config) for p in (0.0, 0.5, 1.0)} == {1.0}
    assert l1_factor(0.0, config) == 1.0


def test_l1_rises_then_stays() -> None:
    config = TrainingConfig(l1_warmup_frac=0.5)
    assert [l1_factor(p, config) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0.0, 0.5, 1.0, 1.0])
