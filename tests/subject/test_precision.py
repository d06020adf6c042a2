"""bfloat16: values near float32's, weights untouched, its change in firings counted exactly."""

from __future__ import annotations

import copy

import pytest
import torch

from autointerp.config.sites import SITES, SitePoint
from autointerp.config.tree import SubjectConfig
from autointerp.subject import precision
from autointerp.subject.model import load_subject
from autointerp.subject.precision import compare_rounding
from sae_core.device import has_fast_bfloat16

CPU = torch.device("cpu")


def test_a_subject_in_bfloat16_is_near_and_its_weights_stay(raw_models, byte_tokenizer, subjects, tokens) -> None:
    config = SubjectConfig(model="tiny", context_tokens=32, site="resid_post", dtype="bfloat16")
    half = load_subject(config, device="cpu", hf_model=copy.deepcopy(raw_models["llama"]), tokenizer=byte_tokenizer)
    exact = subjects["llama"]
    assert half.dtype == torch.bfloat16 and exact.dtype == torch.float32
    assert half.content_hash() == exact.content_hash()
    points = [SitePoint(site, 1) for site in SITES]
    for point, x in half.activations(tokens, points).items():
        expected = exact.activations(tokens, [point])[point]
        error = float((x - expected).norm() / expected.norm())
        assert x.dtype == torch.float32 and 1e-5 < error < 0.05, point
        if SITES[point.site].way is not None:
            assert torch.equal(half.logit_effects(point, x[0, :2]), exact.logit_effects(point, x[0, :2]))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    torch.testing.assert_close(half.loss(tokens, mask), exact.loss(tokens, mask), rtol=0.05, atol=0.05)


def test_firings_are_compared_at_a_density_of_one_percent() -> None:
    exact = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
    assert compare_rounding(exact, exact).same_frac == 1.0
    other = exact.clone()
    (strongest,) = exact[:, 2].topk(1).indices.tolist()
    other[strongest, 2] = -1.0  # one of 4 x 10 firings is lost
    found = compare_rounding(exact, other)
    assert found.same_frac == pytest.approx(39 / 39.5)
    variance = float((exact - exact.mean(dim=0)).square().sum())
    assert found.error_frac == pytest.approx(float((exact[strongest, 2] + 1) ** 2) / variance, rel=1e-4)


def test_silent_coordinates_fire_in_neither() -> None:
    assert compare_rounding(torch.zeros(50, 3), torch.zeros(50, 3)) == precision.Rounding(0.0, 1.0)


@pytest.mark.parametrize(
    ("known", "is_fast"),
    [
        ({"amx_bf16": True}, True),
        ({"avx512_bf16": True}, True),
        ({"avx512_f": True, "amx_bf16": False}, False),
        ({}, False),
    ],
)
def test_processors_are_asked_through_torch(known: dict[str, bool], is_fast: bool, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert has_fast_bfloat16(CPU) is is_fast


def test_an_older_torch_knows_of_no_fast_bfloat16(monkeypatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert has_fast_bfloat16(CPU) is False
