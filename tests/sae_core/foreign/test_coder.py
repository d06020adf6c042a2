"""Folding against the formula as the tools state it, in float64, over drawn shapes, norms, biases and flags."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sae_core.foreign.coder import CoderRule, ForeignCoder, to_dictionary
from tests.drawing import examples

ROWS = 16
SAFE = 1e-4
"""Rows with a decision closer than this are left out: float32 may decide them otherwise."""
RULES: list[CoderRule] = ["relu", "topk", "abstopk", "groupmax", "jumprelu", "gated", "batchtopk"]


def _formula(coder: ForeignCoder, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(contributions to the output per feature in unit directions, output, which rows are safe), in float64."""
    assert coder.W_enc is not None
    norms = coder.W_dec.double().norm(dim=1)
    product = (x - coder.b_dec.double() * coder.is_centred) @ coder.W_enc.double().T
    if coder.rule == "gated":
        assert coder.b_gate is not None and coder.b_mag is not None and coder.r_mag is not None
        gate = product + coder.b_gate
        code = (gate > 0) * torch.relu(product * coder.r_mag.double().exp() + coder.b_mag)
        return code * norms, code @ coder.W_dec.double() + coder.b_dec, (gate.abs() > SAFE).all(dim=1)
    assert coder.b_enc is not None
    pre = product + coder.b_enc
    seen = pre * norms if coder.is_norm_rescaled else pre
    if coder.rule in ("relu", "jumprelu", "batchtopk"):
        threshold = torch.zeros(()) if coder.threshold is None else coder.threshold
        is_chosen = seen > threshold
        margin = (seen - threshold).abs()
        code = torch.relu(seen) * is_chosen
        # Where nothing jumps, closeness does no harm.
        is_safe = ((margin > SAFE) | (torch.zeros_like(seen) == threshold)).all(dim=1)
    else:
        groups = seen.unflatten(1, (coder.k, -1)) if coder.rule == "groupmax" else seen[:, None]
        n_kept = 1 if coder.rule == "groupmax" else coder.k
        size = groups.abs() if coder.rule == "abstopk" else groups
        ranked = size.sort(dim=2, descending=True)
        kept = torch.zeros_like(size).scatter(2, ranked.indices[:, :, :n_kept], 1.0)
        code = (groups if coder.rule == "abstopk" else torch.relu(groups)) * kept
        code = code.flatten(1)
        gaps = (ranked.values[:, :, n_kept - 1] - ranked.values[:, :, n_kept]).min(dim=1).values
        is_safe = gaps > SAFE
    unit = torch.ones_like(norms) if coder.is_norm_rescaled else norms
    directions = coder.W_dec.double() / norms.clamp_min(1e-300)[:, None]
    return code * unit, (code * unit) @ directions + coder.b_dec, is_safe


@settings(deadline=None, max_examples=examples(120))
@given(
    rule=st.sampled_from(RULES),
    d=st.integers(2, 9),
    half=st.integers(2, 8),
    is_centred=st.booleans(),
    is_norm_rescaled=st.booleans(),
    has_zero_row=st.booleans(),
    is_unit=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_folding_changes_nothing(
    rule: CoderRule,
    d: int,
    half: int,
    is_centred: bool,
    is_norm_rescaled: bool,
    has_zero_row: bool,
    is_unit: bool,
    seed: int,
) -> None:
    n = 2 * half
    draw = torch.Generator().manual_seed(seed)
    coder = ForeignCoder(
        rule=rule,
        W_enc=torch.randn(n, d, generator=draw),
        b_enc=torch.randn(n, generator=draw),
        W_dec=torch.randn(n, d, generator=draw),
        b_dec=torch.randn(d, generator=draw),
        k=2,
        is_centred=is_centred,
        is_norm_rescaled=is_norm_rescaled and rule in ("topk", "abstopk", "batchtopk"),
    )
    if is_unit:
        coder = replace(coder, W_dec=torch.nn.functional.normalize(coder.W_dec, dim=1))
    if has_zero_row:
        coder.W_dec[n - 1] = 0.0
    if rule == "jumprelu":
        coder = replace(coder, threshold=torch.randn(n, generator=draw, dtype=torch.float64))
    if rule == "batchtopk":
        coder = replace(coder, threshold=torch.rand((), generator=draw, dtype=torch.float64))
    if rule == "gated":
        b_gate, b_mag, r_mag = (torch.randn(n, generator=draw) * 0.5 for _ in range(3))
        coder = replace(coder, b_enc=None, b_gate=b_gate, b_mag=b_mag, r_mag=r_mag)
    x = torch.randn(ROWS, d, generator=draw) * 2 + 1
    code, output, is_safe = _formula(coder, x.double())
    assume(bool(is_safe.any()))
    dictionary = to_dictionary(coder)
    torch.testing.assert_close(dictionary.encode_dense(x).double()[is_safe], code[is_safe], rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(dictionary(x).double()[is_safe], output[is_safe], rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(dictionary.directions.norm(dim=1), torch.ones(n))
    assert not dictionary.training


def test_rows_too_short_for_a_direction_count_as_zeros() -> None:
    w_dec = torch.eye(3)
    w_dec[1] *= 1e-30
    coder = ForeignCoder(rule="topk", W_enc=torch.eye(3), b_enc=torch.ones(3), W_dec=w_dec, b_dec=torch.zeros(3), k=3)
    dictionary = to_dictionary(coder)
    assert bool((dictionary.encode_dense(torch.ones(2, 3))[:, 1] == 0).all())
    torch.testing.assert_close(dictionary.directions.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("rule", ["relu", "topk", "batchtopk"])
def test_scaled_inputs_give_the_output_of_the_unscaled(rule: CoderRule) -> None:
    draw = torch.Generator().manual_seed(1)
    shapes = {"W_enc": (8, 4), "b_enc": (8,), "W_dec": (8, 4), "b_dec": (4,)}
    tensors = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    threshold = torch.tensor(0.4, dtype=torch.float64) if rule == "batchtopk" else None
    coder = ForeignCoder(rule=rule, **tensors, k=2, threshold=threshold, is_norm_rescaled=rule == "batchtopk")
    x = torch.randn(ROWS, 4, generator=draw)
    wanted = to_dictionary(coder)(x * 0.3) / 0.3
    torch.testing.assert_close(to_dictionary(coder.on_scaled_inputs(0.3))(x), wanted, rtol=1e-4, atol=1e-4)
