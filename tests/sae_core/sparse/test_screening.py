"""Screening finds exactly what full products find, and steps aside where its bound says too little."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, DictionaryKind
from sae_core.encoder import EncoderDictionary
from sae_core.sparse import screening, selection
from sae_core.sparse.screening import (
    dot_products,
    is_screening_worthwhile,
    screened_above,
    screened_top_k,
    sorted_by_feature,
)


def _draw(n_rows: int, width: int, n_features: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(n_features, width, generator=draw)
    # Rows and features of very different sizes: the bound has to hold for each.
    weight *= torch.rand(n_features, 1, generator=draw) * 3
    hidden = torch.randn(n_rows, width, generator=draw) * torch.rand(n_rows, 1, generator=draw) * 10
    return hidden, weight, torch.randn(n_features, generator=draw)


@settings(max_examples=25, deadline=None)
@given(
    n_rows=st.integers(1, 70),
    width=st.integers(8, 80),
    n_features=st.integers(150, 700),
    k=st.integers(1, 16),
    rows_per_chunk=st.integers(1, 80),
    seed=st.integers(0, 10_000),
)
def test_the_k_largest_are_those_of_float64(
    n_rows: int, width: int, n_features: int, k: int, rows_per_chunk: int, seed: int
) -> None:
    hidden, weight, bias = _draw(n_rows, width, n_features, seed)
    pre = hidden.double() @ weight.double().T + bias.double()
    wanted = pre.topk(k, dim=1).values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "ROWS_PER_CHUNK", rows_per_chunk)
        patch.setattr(screening, "MOST_CANDIDATES_FRAC", 1.0)
        found = screened_top_k(hidden, weight, bias, k=k)
    if found is None:  # of too many rows the k-th largest entry is not clearly positive
        is_unclear = wanted[:, -1] / hidden.norm(dim=1).double().clamp_min(1) < 1.0
        assert float(is_unclear.double().mean()) > screening.MOST_UNCLEAR_FRAC
        return
    values, columns = found
    assert all(len(set(row)) == k for row in columns.tolist())
    torch.testing.assert_close(values.double().sort(dim=1, descending=True).values, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(pre.gather(1, columns), values.double(), rtol=1e-4, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    n_rows=st.integers(1, 70),
    n_features=st.integers(20, 300),
    shift=st.floats(-30, 30),
    is_floor_shared=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_what_is_above_a_floor_is_what_float64_says(
    n_rows: int, n_features: int, shift: float, is_floor_shared: bool, seed: int
) -> None:
    hidden, weight, bias = _draw(n_rows, 33, n_features, seed)
    floor = shift + (torch.zeros(1) if is_floor_shared else torch.linspace(-5, 5, n_features))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "MOST_ABOVE_FRAC", 1.0)
        found = screened_above(hidden, weight, bias, floor=floor)
    assert found is not None
    values, rows, columns = found
    pre = hidden.double() @ weight.double().T + bias.double()
    torch.testing.assert_close(values.double(), pre[rows, columns], rtol=1e-4, atol=1e-4)
    positions = rows * n_features + columns
    assert bool((positions.diff() > 0).all())
    is_found = torch.zeros(pre.numel(), dtype=torch.bool).index_fill(0, positions, True).view_as(pre)
    # Entries within float32 rounding of the floor may go either way.
    is_clear = (pre - floor.double()).abs() > 1e-3
    assert torch.equal(is_found & is_clear, (pre > floor.double()) & is_clear)


def test_the_floor_may_be_missed_by_no_entry_whose_rounding_hides_it() -> None:
    """Entries that bfloat16 cannot tell apart are still told apart."""
    hidden = torch.ones(64, 4)
    weight = torch.ones(256, 4) + torch.arange(256)[:, None] * 1e-5
    found = screened_top_k(hidden, weight, torch.zeros(256), k=3)
    assert found is None  # everything might be among the largest: too many candidates
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "MOST_CANDIDATES_FRAC", 1.0)
        found = screened_top_k(hidden, weight, torch.zeros(256), k=3)
    assert found is not None
    assert found[1].sort(dim=1).values.tolist() == [[253, 254, 255]] * 64


@pytest.mark.parametrize("trouble", [0.0, float("nan")])
def test_a_few_rows_without_k_clearly_positive_entries_are_multiplied_out(trouble: float) -> None:
    hidden, weight, bias = _draw(70, 16, 300, seed=1)
    hidden, bias = hidden * 100, bias - 10
    hidden[[3, 64]] *= trouble
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "MOST_CANDIDATES_FRAC", 1.0)
        patch.setattr(screening, "ROWS_PER_CHUNK", 32)
        found = screened_top_k(hidden, weight, bias, k=4)
    assert found is not None
    wanted = torch.nn.functional.linear(hidden, weight, bias).topk(4, dim=1).values
    torch.testing.assert_close(found[0].sort(dim=1, descending=True).values, wanted, equal_nan=True)


@pytest.mark.parametrize("trouble", [float("nan"), float("inf"), -1e6])
def test_it_steps_aside(trouble: float) -> None:
    hidden, weight, bias = _draw(70, 16, 300, seed=1)
    if trouble < 0:
        bias = bias + trouble
    else:
        hidden[:8, 2] = trouble
    assert screened_top_k(hidden, weight, bias, k=4) is None
    assert trouble < 0 or screened_above(hidden, weight, bias, floor=torch.zeros(1)) is None


def test_rows_of_zeros_are_no_trouble() -> None:
    hidden, weight, _ = _draw(70, 16, 300, seed=1)
    found = screened_above(hidden * 0, weight, torch.full((300,), -1.0), floor=torch.zeros(1))
    assert found is not None and found[0].numel() == 0


def test_selection_takes_it_for_large_float32_batches_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "has_fast_bfloat16", lambda: True)
    hidden, weight, bias = _draw(130, 24, 2100, seed=2)
    assert is_screening_worthwhile(hidden, weight, k=8)
    assert not is_screening_worthwhile(hidden, weight, k=80)
    assert not is_screening_worthwhile(hidden.double(), weight.double(), k=8)
    assert not is_screening_worthwhile(hidden[:10], weight, k=8)
    assert not is_screening_worthwhile(hidden, weight[:500], k=8)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_screening_worthwhile(hidden, weight, k=8)
    floor = torch.full((1,), 60.0)
    fast = [
        selection.select_top_k(hidden, weight, bias, k=8),
        selection.select_above(hidden, weight, bias, floor=floor),
    ]
    monkeypatch.setattr(screening, "has_fast_bfloat16", lambda: False)
    assert not is_screening_worthwhile(hidden, weight, k=8)
    plain = [
        selection.select_top_k(hidden, weight, bias, k=8),
        selection.select_above(hidden, weight, bias, floor=floor),
    ]
    for (values, chosen), (other_values, other) in zip(fast, plain, strict=True):
        assert values.numel() > 0
        unit = torch.eye(2100)
        torch.testing.assert_close(
            chosen.sum_rows(unit, values), other.sum_rows(unit, other_values), rtol=1e-4, atol=1e-3
        )


@pytest.mark.parametrize("n_features", [5, 40_000])
def test_sorted_by_feature_keeps_order_within_a_feature(n_features: int) -> None:
    columns = torch.tensor([3, 0, 3, 4, 0, 3])
    order, starts = sorted_by_feature(columns, n_features=n_features)
    assert order.tolist() == [1, 4, 0, 2, 5, 3]
    assert starts[:6].tolist() == [0, 2, 2, 2, 5, 6] and starts.numel() == n_features + 1 and int(starts[-1]) == 6


@pytest.mark.parametrize("is_supported", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dot_products_with_and_without_torchs_own(
    is_supported: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "_has_sampled_products", lambda: is_supported)
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.randn(n, 21, generator=draw, dtype=dtype) for n in (4, 6))
    starts, columns = torch.tensor([0, 3, 3, 4, 6]), torch.tensor([5, 0, 5, 2, 1, 4])
    rows = [0, 0, 0, 2, 3, 3]
    found = dot_products(left, right, starts=starts, columns=columns)
    torch.testing.assert_close(found, (left @ right.T)[rows, columns.tolist()])
    nothing = dot_products(left, right, starts=torch.zeros(5, dtype=torch.int64), columns=columns[:0])
    assert nothing.shape == (0,)


@settings(max_examples=10, deadline=None)
@given(kind=st.sampled_from(["topk", "relu", "batchtopk"]), n_rows=st.integers(64, 150), seed=st.integers(0, 1000))
def test_training_through_the_screen_equals_dense_autograd_in_float64(
    kind: DictionaryKind, n_rows: int, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    sample = 4 * torch.randn(200, 24, generator=draw) + 2
    dictionary = build_dictionary(DictionaryConfig(kind=kind, n_features=160, k=4), d_in=24, seed=seed, sample=sample)
    assert isinstance(dictionary, EncoderDictionary)
    with torch.no_grad():
        for parameter in dictionary.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
        dictionary.b_enc.sub_(4.0 if kind == "relu" else 0.0)
    x = 4 * torch.randn(n_rows, 24, generator=draw) + 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "has_fast_bfloat16", lambda: True)
        patch.setattr(screening, "FEWEST_FEATURES", 1)
        patch.setattr(screening, "MOST_CANDIDATES_FRAC", 1.0)
        assert is_screening_worthwhile(x, dictionary.W_enc, k=4)
        passed = dictionary.train().training_pass(x)
    ((passed.reconstruction - x).square().mean() + 0.01 * passed.code_sum).backward()

    exact = {name: each.detach().double().requires_grad_() for name, each in dictionary.named_parameters()}
    pre = (x.double() - exact["b_dec"]) @ exact["W_enc"].T + exact["b_enc"]
    kth = {
        "topk": pre.topk(4, dim=1).values[:, -1:],
        "batchtopk": pre.flatten().topk(4 * n_rows).values[-1],
        "relu": torch.zeros(()),
    }
    code = torch.relu(pre) * (pre >= kth[kind])
    reconstruction = code @ exact["W_dec"] + exact["b_dec"]
    ((reconstruction - x.double()).square().mean() + 0.01 * code.sum() / n_rows).backward()
    assert _relative_error(passed.reconstruction, reconstruction) < 1e-5
    for name, parameter in dictionary.named_parameters():
        wanted = exact[name].grad
        assert parameter.grad is not None and wanted is not None
        assert wanted.norm() > 0, name
        assert _relative_error(parameter.grad, wanted) < 1e-5, name


def _relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(((found.double() - wanted).norm() / wanted.norm()).detach())
