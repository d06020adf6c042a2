"""Gated: the gate decides which, the magnitude how much, and the auxiliary reconstruction teaches the gate."""

from __future__ import annotations

import torch

from sae_core.architectures.gated import GatedDictionary
from tests.sae_core.dense_reference import CONFIGS, batch, build


def _build() -> GatedDictionary:
    dictionary = build(CONFIGS["gated"])
    assert isinstance(dictionary, GatedDictionary)
    return dictionary


def test_gate_and_magnitude_are_told_apart() -> None:
    dictionary, x = _build(), batch()
    product = (x - dictionary.b_dec) @ dictionary.W_enc.T
    gate = product + dictionary.b_gate
    magnitude = product * dictionary.r_mag.exp() + dictionary.b_mag
    wanted = torch.where(gate > 0, magnitude.clamp_min(0), 0.0)
    torch.testing.assert_close(dictionary.encode_dense(x), wanted)
    assert ((gate > 0) & (magnitude < 0)).any() and ((gate < 0) & (magnitude > 0)).any()


def test_it_starts_as_a_relu_autoencoder_with_three_kinds_of_feature_parameters() -> None:
    dictionary, x = _build(), batch()
    with torch.no_grad():
        for name in ("b_gate", "b_mag", "r_mag"):
            dictionary.get_parameter(name).zero_()
    wanted = torch.relu((x - dictionary.b_dec) @ dictionary.W_enc.T)
    torch.testing.assert_close(dictionary.encode_dense(x), wanted)
    assert not hasattr(dictionary, "b_enc")


def test_auxiliary_reconstruction_goes_through_the_gate_and_spares_the_decoder() -> None:
    dictionary, x = _build(), batch()
    (side,) = dictionary.training_pass(x).side_reconstructions
    gate = torch.relu((x - dictionary.b_dec) @ dictionary.W_enc.T + dictionary.b_gate)
    torch.testing.assert_close(side, gate @ dictionary.W_dec + dictionary.b_dec)
    side.square().sum().backward()
    trained = {name for name, p in dictionary.named_parameters() if p.grad is not None and p.grad.any()}
    assert trained == {"W_enc", "b_gate", "b_dec"}  # b_dec as the encoder's centre, not as the decoder's offset


def test_the_penalty_falls_on_the_gate_alone() -> None:
    dictionary, x = _build(), batch()
    passed = dictionary.training_pass(x)
    gate = torch.relu((x - dictionary.b_dec) @ dictionary.W_enc.T + dictionary.b_gate)
    torch.testing.assert_close(passed.penalty, 0.2 * dictionary.l1_unit * gate.sum(dim=1).mean())
    passed.penalty.backward()
    trained = {name for name, p in dictionary.named_parameters() if p.grad is not None and p.grad.any()}
    assert trained == {"W_enc", "b_gate", "b_dec"}
