"""Matching pursuit: its definition row by row, its stopping rules, and what holds of every step."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.inference.matching_pursuit import matching_pursuit


def _problem(seed: int, n_rows: int, d_in: int, n_features: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(n_features, d_in, generator=draw).double(), dim=1)
    return torch.randn(n_rows, d_in, generator=draw).double(), directions


def _row_by_row(
    x: torch.Tensor, directions: torch.Tensor, n_steps: int, threshold: float, is_repeat_stop: bool, is_positive: bool
) -> torch.Tensor:
    codes = torch.zeros(x.shape[0], directions.shape[0], dtype=x.dtype)
    for row in range(x.shape[0]):
        residual = x[row].clone()
        for _ in range(n_steps):
            correlations = directions @ residual
            best = int((correlations if is_positive else correlations.abs()).argmax())
            value = correlations[best]
            if is_positive and value <= 0:
                break
            is_repeat = bool(codes[row, best] != 0)
            codes[row, best] += value
            residual = residual - value * directions[best]
            if (is_repeat_stop and is_repeat) or (threshold > 0 and residual.norm() < threshold):
                break
    return codes


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    n_rows=st.integers(1, 7),
    d_in=st.integers(1, 8),
    n_features=st.integers(1, 16),
    n_steps=st.integers(1, 12),
    threshold=st.sampled_from([0.0, 0.5, 1.5]),
    is_repeat_stop=st.booleans(),
    is_positive=st.booleans(),
)
def test_codes_equal_the_definition(
    seed: int,
    n_rows: int,
    d_in: int,
    n_features: int,
    n_steps: int,
    threshold: float,
    is_repeat_stop: bool,
    is_positive: bool,
) -> None:
    x, directions = _problem(seed, n_rows, d_in, n_features)
    code = matching_pursuit(
        x,
        directions,
        n_steps=n_steps,
        residual_threshold=threshold,
        is_stopped_by_repeat=is_repeat_stop,
        is_non_negative=is_positive,
    )
    wanted = _row_by_row(x, directions, n_steps, threshold, is_repeat_stop, is_positive)
    torch.testing.assert_close(code.to_dense(n_features), wanted, atol=1e-9, rtol=0)


def test_the_error_falls_with_every_step() -> None:
    x, directions = _problem(0, 20, 6, 12)
    errors = [
        (x - matching_pursuit(x, directions, n_steps=n).to_dense(12) @ directions).norm(dim=1) for n in range(1, 9)
    ]
    assert all(bool((later <= earlier + 1e-12).all()) for earlier, later in itertools.pairwise(errors))


def test_a_repeated_feature_has_one_code() -> None:
    directions = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    code = matching_pursuit(torch.tensor([[1.0, 0.9]]), directions, n_steps=6, is_non_negative=False)
    assert sorted(code.indices[code.values != 0].tolist()) == [0, 1]


def test_no_steps_are_refused() -> None:
    x, directions = _problem(0, 2, 6, 20)
    with pytest.raises(ValueError, match="n_steps = 0"):
        matching_pursuit(x, directions, n_steps=0)
