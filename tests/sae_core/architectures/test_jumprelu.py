"""JumpReLU's pseudo-derivatives are those of the paper, and its L0 comes to the target."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.architectures.jumprelu import JumpReluDictionary, jump
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.quality import measure_quality
from sae_core.synthetic import PlantedDictionary
from sae_core.training.loop import train_dictionaries
from tests.sae_core.dense_reference import CONFIGS, batch, build


@settings(max_examples=60, deadline=None)
@given(
    pre=st.floats(-3, 3), threshold=st.floats(0.01, 2), width=st.floats(0.01, 3), a=st.floats(-2, 2), b=st.floats(-2, 2)
)
def test_pseudo_derivatives_are_the_papers(pre: float, threshold: float, width: float, a: float, b: float) -> None:
    z, theta = (torch.tensor([each], dtype=torch.float64, requires_grad=True) for each in (pre, threshold))
    code, step = jump(z, theta, bandwidth=torch.tensor(width, dtype=torch.float64))
    is_above, is_near = pre > threshold, abs((pre - threshold) / width) < 0.5
    assert code.item() == (pre if is_above else 0.0) and step.item() == is_above
    to_z, to_theta = torch.autograd.grad(a * code.sum() + b * step.sum(), (z, theta))
    assert to_z.item() == (a if is_above else 0.0)
    assert to_theta.item() == pytest.approx(-(a * threshold + b) / width if is_near else 0.0)


def test_codes_are_the_pre_activations_above_their_thresholds() -> None:
    dictionary, x = build(CONFIGS["jumprelu"]), batch()
    assert isinstance(dictionary, JumpReluDictionary)
    pre = (x - dictionary.b_dec) @ dictionary.W_enc.T + dictionary.b_enc
    torch.testing.assert_close(dictionary.encode_dense(x), pre * (pre > dictionary.log_threshold.exp()))


@pytest.mark.parametrize(("weight", "target"), [(None, None), (0.5, None), (None, 3.0), (0.25, 3.0), (0.25, 40.0)])
def test_penalty_is_the_weighted_l0_or_its_distance_from_the_target(weight: float | None, target: float | None) -> None:
    dictionary = build(dataclasses.replace(CONFIGS["jumprelu"], l0_weight=weight, l0_target=target))
    passed = dictionary.training_pass(batch())
    l0 = passed.n_active.item()
    if target is None:
        wanted = (0.001 if weight is None else weight) * l0
    else:
        excess = l0 / target
        wanted = (1.0 if weight is None else weight) * (math.log(excess) if excess > 1 else excess - 1) ** 2
    assert passed.penalty.item() == pytest.approx(wanted, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(excess=st.floats(0, 1000), target=st.floats(0.5, 64))
def test_far_from_the_target_the_penalty_pulls_no_harder_than_near_it(excess: float, target: float) -> None:
    dictionary = build(dataclasses.replace(CONFIGS["jumprelu"], l0_target=target))
    assert isinstance(dictionary, JumpReluDictionary)
    l0 = torch.tensor(excess * target, dtype=torch.float64, requires_grad=True)
    (pull,) = torch.autograd.grad(dictionary.l0_penalty(l0), l0)
    assert abs(pull.item()) <= 2 / target and pull.item() * (excess - 1) >= 0
    near = torch.tensor(target * 1.001, dtype=torch.float64, requires_grad=True)
    (pull,) = torch.autograd.grad(dictionary.l0_penalty(near), near)
    assert pull.item() == pytest.approx(2 * 0.001 / target, rel=2e-3)


def test_the_penalty_trains_thresholds_alone() -> None:
    dictionary = build(CONFIGS["jumprelu"])
    dictionary.training_pass(batch()).penalty.backward()
    trained = {name for name, p in dictionary.named_parameters() if p.grad is not None and p.grad.any()}
    assert trained == {"log_threshold"}


def test_l0_comes_to_the_target() -> None:
    planted = PlantedDictionary.draw(n_features=32, d_in=16, k=4, seed=0, scale=9.0, offset_norm=30.0)
    config = DictionaryConfig(kind="jumprelu", n_features=32, l0_target=3.0)
    training = TrainingConfig(n_tokens=250 * 256, learning_rate=1e-2, resample_every_steps=30, dead_after_tokens=2560)
    batches = planted.iter_batches(250, batch_tokens=256, seed=1)
    trained = train_dictionaries({"it": (config, training)}, batches, device="cpu")["it"].dictionary
    quality = measure_quality(trained, planted.iter_batches(4, batch_tokens=1000, seed=77))
    assert quality.l0 == pytest.approx(3.0, rel=0.1)
    assert quality.fvu < 0.25
