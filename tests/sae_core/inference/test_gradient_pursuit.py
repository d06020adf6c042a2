"""Gradient pursuit: the same codes as another library's, its definition with dense matrices, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from sae_core.errors import WidthMismatchError
from sae_core.inference import problem
from sae_core.inference.gradient_pursuit import gradient_pursuit

FIXTURE = Path(__file__).parent / "gradient_pursuit.safetensors"


def _problem(seed: int, n_rows: int, d_in: int, n_features: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(n_features, d_in, generator=draw).double(), dim=1)
    return torch.randn(n_rows, d_in, generator=draw).double(), directions


def _dense_pursuit(x: torch.Tensor, directions: torch.Tensor, n_steps: int, is_non_negative: bool) -> torch.Tensor:
    """The definition, one row and one dense code at a time."""
    codes = torch.zeros(x.shape[0], directions.shape[0], dtype=x.dtype)
    for row, signal in enumerate(x):
        chosen: set[int] = set()
        for _ in range(n_steps):
            correlations = directions @ (signal - codes[row] @ directions)
            chosen.add(int((correlations if is_non_negative else correlations.abs()).argmax()))
            gradient = torch.zeros_like(correlations)
            gradient[list(chosen)] = correlations[list(chosen)]
            move = gradient @ directions
            if move.norm() > 0:
                codes[row] += gradient * (move @ (signal - codes[row] @ directions)) / (move @ move)
            if is_non_negative:
                codes[row] = codes[row].clamp(min=0)
    return codes


@pytest.mark.parametrize("n_steps", [1, 5, 12])
def test_codes_are_those_of_dictionary_learning(n_steps: int) -> None:
    fixture = load_file(FIXTURE)
    code = gradient_pursuit(fixture["x"], fixture["directions"], n_active=n_steps)
    torch.testing.assert_close(code.to_dense(40), fixture[f"codes_{n_steps}"], atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    n_rows=st.integers(1, 7),
    d_in=st.integers(2, 9),
    n_features=st.integers(1, 20),
    n_steps=st.integers(1, 8),
    is_non_negative=st.booleans(),
)
def test_codes_equal_the_dense_definition(
    seed: int, n_rows: int, d_in: int, n_features: int, n_steps: int, is_non_negative: bool
) -> None:
    # Once the residual is rounding error alone, which feature comes next means nothing: steps stay below that.
    n_steps = min(n_steps, d_in - 1, n_features)
    x, directions = _problem(seed, n_rows, d_in, n_features)
    code = gradient_pursuit(x, directions, n_active=n_steps, is_non_negative=is_non_negative)
    wanted = _dense_pursuit(x, directions, n_steps, is_non_negative)
    torch.testing.assert_close(code.to_dense(n_features), wanted, atol=1e-9, rtol=0)


def test_no_feature_has_two_codes() -> None:
    x, directions = _problem(0, 30, 5, 8)
    code = gradient_pursuit(x, directions, n_active=12)
    for values, indices in zip(*code, strict=True):
        active = indices[values != 0]
        assert active.unique().numel() == active.numel()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, directions = _problem(0, 100, 6, 20)
    whole = gradient_pursuit(x, directions, n_active=4)
    monkeypatch.setitem(problem.VALUES_PER_CHUNK, "cpu", 20 * 33)
    parts = gradient_pursuit(x, directions, n_active=4)
    torch.testing.assert_close(parts.values, whole.values, atol=1e-12, rtol=0)
    assert torch.equal(parts.indices, whole.indices)


def test_it_works_where_gradients_are_off_for_good() -> None:
    x, directions = _problem(0, 30, 6, 20)
    wanted = gradient_pursuit(x, directions, n_active=4).to_dense(20)
    with torch.inference_mode():
        inside = gradient_pursuit(x, directions, n_active=4).to_dense(20)
        tainted = directions * 1
    torch.testing.assert_close(inside, wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient_pursuit(x, tainted, n_active=4).to_dense(20), wanted, atol=1e-12, rtol=0)


def test_zero_signals_and_empty_batches_have_zero_codes() -> None:
    _, directions = _problem(0, 1, 6, 20)
    assert not gradient_pursuit(torch.zeros(3, 6).double(), directions, n_active=4).values.any()
    assert gradient_pursuit(torch.zeros(0, 6).double(), directions, n_active=4).values.shape == (0, 4)


def test_errors_name_the_value() -> None:
    x, directions = _problem(0, 2, 6, 20)
    with pytest.raises(ValueError, match="n_active = 0"):
        gradient_pursuit(x, directions, n_active=0)
    with pytest.raises(ValueError, match=r"float32.*float64"):
        gradient_pursuit(x.float(), directions, n_active=1)
    with pytest.raises((WidthMismatchError, TypeError)):
        gradient_pursuit(x[:, :5], directions, n_active=1)
