"""The two-stage search finds what a float64 arg-max finds, on any CPU, whatever comes near the largest."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.inference import search
from sae_core.inference.search import FeatureSearch


@pytest.fixture(autouse=True, scope="module")
def _two_stages_everywhere() -> object:
    """Small problems and CPUs without the instruction take the two stages too (in software there)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "MIN_FEATURES", 1)
        patch.setattr(search, "has_fast_bfloat16", lambda: True)
        yield


def _problem(seed: int, n_rows: int, d_in: int, n_features: int, shared: float) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    directions = torch.randn(n_features, d_in, generator=draw) + shared * torch.randn(d_in, generator=draw)
    return torch.randn(n_rows, d_in, generator=draw), torch.nn.functional.normalize(directions, dim=1)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    n_rows=st.integers(1, 40),
    d_in=st.sampled_from([1, 3, 16, 200]),
    n_features=st.sampled_from([1, 5, 63, 64, 65, 300]),
    shared=st.sampled_from([0.0, 1.0, 10.0]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    is_non_negative=st.booleans(),
)
def test_it_is_the_exact_arg_max(
    seed: int, n_rows: int, d_in: int, n_features: int, shared: float, scale: float, is_non_negative: bool
) -> None:
    residual, directions = _problem(seed, n_rows, d_in, n_features, shared)
    residual = residual * scale
    best, correlation = FeatureSearch(directions, is_non_negative=is_non_negative)(residual)
    exact = residual.double() @ directions.double().T
    sizes = exact if is_non_negative else exact.abs()
    found = sizes.gather(1, best[:, None])[:, 0]
    # Float32 cannot tell apart what differs by less.
    assert bool((found >= sizes.amax(dim=1) - 3e-7 * d_in**0.5 * residual.norm(dim=1)).all())
    torch.testing.assert_close(
        correlation.double(), exact.gather(1, best[:, None])[:, 0], atol=1e-5 * scale * d_in**0.5, rtol=1e-5
    )


@pytest.mark.parametrize("is_non_negative", [True, False])
def test_both_ways_find_the_same_and_the_rough_one_is_taken(
    is_non_negative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    residual, directions = _problem(0, 300, 64, 1000, 0.3)
    two_stage = FeatureSearch(directions, is_non_negative=is_non_negative)
    assert two_stage._two_stage(residual, None) is not None
    monkeypatch.setattr(search, "has_fast_bfloat16", lambda: False)
    plain = FeatureSearch(directions, is_non_negative=is_non_negative)
    assert two_stage.is_rough_first and not plain.is_rough_first
    taken = torch.randint(0, 1000, (300, 400), generator=torch.Generator().manual_seed(1))
    for without in (None, taken):
        assert torch.equal(two_stage(residual, taken=without)[0], plain(residual, taken=without)[0])
    best = two_stage(residual, taken=taken)[0]
    assert not bool((taken == best[:, None]).any())


def test_equal_directions_give_the_first_and_do_not_flood_the_second_stage() -> None:
    residual, directions = _problem(0, 20, 16, 10, 0.0)
    twice = FeatureSearch(directions.repeat(2, 1), is_non_negative=True)
    assert torch.equal(twice(residual)[0], (residual @ directions.T).argmax(dim=1))
    many = FeatureSearch(directions.repeat(100, 1), is_non_negative=True)
    assert many._two_stage(residual, None) is None
    assert torch.equal(many(residual)[0] % 10, (residual @ directions.T).argmax(dim=1))


def test_a_residual_of_zeros_finds_the_first_feature_at_zero() -> None:
    _, directions = _problem(0, 1, 16, 100, 0.0)
    best, correlation = FeatureSearch(directions, is_non_negative=True)(torch.zeros(3, 16))
    assert best.tolist() == [0, 0, 0] and not correlation.any()


def test_float64_is_searched_in_float64() -> None:
    _, directions = _problem(0, 1, 16, 100, 0.0)
    assert not FeatureSearch(directions.double(), is_non_negative=True).is_rough_first
