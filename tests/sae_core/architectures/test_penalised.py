"""The L1 weight is steered so that L0 ends at its target, and its whole state is one buffer."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from sae_core.architectures.penalised import INTEGRAL_GAIN, PenalisedDictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.quality import measure_quality
from sae_core.synthetic import PlantedDictionary
from sae_core.training.loop import train_dictionaries
from tests.sae_core.dense_reference import CONFIGS, batch, build


def _build(**fields: object) -> PenalisedDictionary:
    dictionary = build(dataclasses.replace(CONFIGS["relu"], **fields))  # pyright: ignore
    assert isinstance(dictionary, PenalisedDictionary)
    return dictionary


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("kind", "weight"), [("relu", 0.02), ("relu", 1.0), ("prolu", 0.2), ("gated", 0.2), ("mlp", 0.2)]
)
def test_l0_ends_at_its_target(kind: str, weight: float) -> None:
    planted = PlantedDictionary.draw(n_features=32, d_in=16, k=4, seed=0, scale=9.0, offset_norm=30.0)
    config = DictionaryConfig(kind=kind, n_features=32, hidden=(48,), l0_target=3.0, l1_weight=weight)  # pyright: ignore
    training = TrainingConfig(n_tokens=250 * 256, learning_rate=3e-3, resample_every_steps=30, dead_after_tokens=2560)
    batches = planted.iter_batches(250, batch_tokens=256, seed=1)
    trained = train_dictionaries({kind: (config, training)}, batches, device="cpu")[kind]
    quality = measure_quality(trained.dictionary, planted.iter_batches(4, batch_tokens=1000, seed=77))
    assert quality.l0 == pytest.approx(3.0, rel=0.1)


def test_the_weight_moves_by_the_log_of_the_excess_and_not_faster() -> None:
    dictionary = _build(l0_target=2.0)
    dictionary.steer(torch.tensor(2.0 * math.exp(0.5)))
    assert dictionary.l1_factor.item() == pytest.approx(math.exp(0.5 * INTEGRAL_GAIN))
    dictionary.steer(torch.tensor(2000.0))
    assert dictionary.l1_factor.item() == pytest.approx(math.exp(1.5 * INTEGRAL_GAIN))
    dictionary.steer(torch.tensor(0.0))
    assert dictionary.l1_factor.item() == pytest.approx(math.exp(0.5 * INTEGRAL_GAIN))
    dictionary.steer(torch.tensor(2.0))
    assert dictionary.l1_factor.item() == pytest.approx(math.exp(0.5 * INTEGRAL_GAIN))


@pytest.mark.parametrize("excess", [0.2, 0.9, 2.0, 50.0])
def test_a_batch_answers_at_once_in_proportion_up_to_e(excess: float) -> None:
    passed = _build(start_density=0.5).training_pass(x := batch())
    target, ratio = passed.n_active.item() / excess, min(excess, math.e)
    steered = _build(start_density=0.5, l0_target=target)
    assert steered.training_pass(x).penalty.item() == pytest.approx(ratio * passed.penalty.item(), rel=1e-4)


def test_without_a_target_or_outside_training_the_weight_stays() -> None:
    free, resting = _build(), _build(l0_target=2.0).eval()
    for dictionary in (free, resting):
        dictionary.steer(torch.tensor(20.0))
        assert dictionary.l1_factor.item() == 1.0
    assert "l1_factor" in free.state_dict()
