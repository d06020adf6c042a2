"""Resampling at several levels: coverage for one feature, and where the noise comes from."""

from __future__ import annotations

import numpy as np
import pytest

from autointerp.seeds import stream
from autointerp.stats.hierarchy import NoiseShares, feature_interval


def share_right(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=1)
    return np.divide(counts[:, 0] + counts[:, 3], total, out=np.full(len(counts), np.nan), where=total > 0)


def answers(rng: np.random.Generator, skill: float, *, n_documents: int, n_repeats: int = 1) -> list[list[np.ndarray]]:
    return [
        [np.array([1, 0, 0, 0]) if rng.random() < skill else np.array([0, 0, 1, 0]) for _ in range(n_repeats)]
        for _ in range(n_documents)
    ]


def shares_of(features: list[list[list[np.ndarray]]]) -> dict[str, float] | None:
    shares = NoiseShares(metric=share_right, rng=stream(0, "t"))
    for feature in features:
        shares.add(feature)
    return shares.find()


def test_one_features_interval_covers_its_true_value() -> None:
    rng, n_covered, n_runs = np.random.default_rng(0), 0, 400
    for run in range(n_runs):
        found = feature_interval(
            answers(rng, 0.7, n_documents=60),
            metric=share_right,
            rng=stream(run, "t"),
            bounds=(0.0, 1.0),
            n_resamples=400,
        )
        assert found is not None
        n_covered += found.lo <= 0.7 <= found.hi
    assert 0.91 <= n_covered / n_runs <= 0.98


def test_the_value_is_the_mean_over_repeats_and_one_document_says_nothing() -> None:
    right, wrong = np.array([1, 0, 0, 0]), np.array([0, 0, 1, 0])
    one = feature_interval([[right, wrong]], metric=share_right, rng=stream(0, "t"), bounds=(0.0, 1.0))
    assert one is not None
    assert (one.mean, one.lo, one.hi, one.n) == (0.5, 0.0, 1.0, 1)
    assert feature_interval([], metric=share_right, rng=stream(0, "t"), bounds=(0.0, 1.0)) is None
    assert feature_interval([[np.zeros(4)]], metric=share_right, rng=stream(0, "t"), bounds=(0.0, 1.0)) is None


def test_noise_is_told_from_difference() -> None:
    rng = np.random.default_rng(1)
    alike = [answers(rng, 0.7, n_documents=40) for _ in range(60)]
    unlike = [answers(rng, skill, n_documents=40) for skill in rng.uniform(0.3, 1.0, size=60)]
    noise = shares_of(alike)
    spread = shares_of(unlike)
    assert noise is not None
    assert spread is not None
    assert noise["documents"] > 0.7
    # Bernoulli noise of 40 windows against a variance of 0.7**2 / 12 between features
    assert spread["documents"] == pytest.approx(0.0048 / (0.0048 + 0.0408), abs=0.05)
    assert shares_of(unlike[:1]) is None
