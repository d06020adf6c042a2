"""On a CUDA device: training finds what it finds on the CPU, goes on after an interruption, and waits for nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sae_core.activations.buffer import ShuffleBuffer
from sae_core.activations.store_writer import write_store
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.synthetic import PlantedDictionary, mean_max_cosine
from sae_core.trainable import TrainableDictionary
from sae_core.training.loop import train_dictionaries
from sae_core.training.resume import CheckpointPlan
from sae_core.training.trainer import DictionaryTrainer

DEVICE = "cuda"
PLANTED = PlantedDictionary.draw(n_features=32, d_in=16, k=2, seed=0, scale=9.0, offset_norm=30.0)
TRAINING = TrainingConfig(
    n_tokens=400 * 256, batch_tokens=256, learning_rate=5e-3, resample_every_steps=40, dead_after_tokens=4_000
)
CONFIGS = {
    "relu": (DictionaryConfig(kind="relu", n_features=48, l1_weight=0.15), TRAINING),
    "topk": (DictionaryConfig(kind="topk", n_features=48, k=2), TRAINING),
    "mlp": (DictionaryConfig(kind="mlp", n_features=48, hidden=(48,), l1_weight=0.15), TRAINING),
}

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def batches(n: int = 400, batch_tokens: int = 256) -> Iterator[torch.Tensor]:
    return PLANTED.iter_batches(n, batch_tokens=batch_tokens, seed=1)


def short(n_steps: int) -> TrainingConfig:
    return dataclasses.replace(TRAINING, n_tokens=n_steps * 64, batch_tokens=64, dead_after_tokens=640)


@pytest.mark.parametrize("autocast", ["off", "bf16"])
def test_planted_directions_are_found(autocast: str) -> None:
    configs = {
        name: (config, dataclasses.replace(training, autocast=autocast)) for name, (config, training) in CONFIGS.items()
    }
    for name, trained in train_dictionaries(configs, batches(), device=DEVICE).items():
        assert trained.dictionary.directions.device.type == DEVICE
        assert trained.dictionary.directions.dtype == torch.float32
        assert mean_max_cosine(trained.dictionary.directions.cpu(), PLANTED.directions) > 0.9, name


def test_losses_are_those_of_the_cpu() -> None:
    """Early losses to 1%: products are TF32 on the device, and training amplifies rounding."""
    configs = {name: (config, short(5)) for name, (config, _) in CONFIGS.items()}
    options = {"record_every_steps": 1}
    there = train_dictionaries(configs, batches(5, 64), device=DEVICE, **options)
    here = train_dictionaries(configs, batches(5, 64), device="cpu", **options)
    for name in configs:
        for found, wanted in zip(there[name].history, here[name].history, strict=True):
            assert found.loss == pytest.approx(wanted.loss, rel=0.01), (name, found.step)


def test_an_interrupted_training_goes_on_with_the_same_batches(tmp_path: Path) -> None:
    """Sums on the device are taken in no fixed order, so weights agree up to rounding; the batches agree exactly."""
    configs = {name: (config, short(20)) for name, (config, _) in CONFIGS.items()}
    given: list[torch.Tensor] = []

    class Noted(ShuffleBuffer):
        def __iter__(self) -> Iterator[torch.Tensor]:
            for batch in super().__iter__():
                assert batch.device.type == DEVICE
                given.append(batch.cpu())
                yield batch

    def buffer() -> Noted:
        chunks = [batch.to(DEVICE) for batch in batches(40, 50)]
        return Noted(chunks, batch_tokens=64, capacity_tokens=300, seed=0)

    whole = train_dictionaries(configs, buffer(), device=DEVICE)
    wanted, given = given, []
    plan = CheckpointPlan(directory=tmp_path, every_s=None, every_steps=1)
    n_batches = 0

    def stop(_: int) -> None:
        nonlocal n_batches
        n_batches += 1
        if n_batches == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_dictionaries(configs, buffer(), device=DEVICE, checkpoint=plan, on_batch=stop)
    given = []
    again = train_dictionaries(configs, buffer(), device=DEVICE, checkpoint=plan)
    assert len(given) == 12
    assert all(torch.equal(found, batch) for found, batch in zip(given, wanted[8:20], strict=True))
    for name, trained in whole.items():
        assert [record.step for record in again[name].history] == [record.step for record in trained.history]
        assert again[name].history[-1].loss == pytest.approx(trained.history[-1].loss, rel=0.02), name


def test_a_restored_trainer_is_on_the_device(tmp_path: Path) -> None:
    first, second = trainer("topk"), trainer("topk")
    for batch in batches(9, 64):
        first.step(batch.to(DEVICE), is_recorded=False)
    state = first.state()
    second.restore(state._replace(tensors={name: tensor.cpu() for name, tensor in state.tensors.items()}))
    devices = {moment.device.type for state in second.optimiser.state.values() for moment in state.values()}
    assert devices == {DEVICE}
    assert second.dead.device.type == second.clock.n_silent_tokens.device.type == DEVICE
    for (name, found), wanted in zip(second.dictionary.named_parameters(), first.dictionary.parameters(), strict=True):
        assert torch.equal(found, wanted), name
    second.step(next(batches(1, 64)).to(DEVICE), is_recorded=True)


def test_stored_activations_reach_the_device(tmp_path: Path) -> None:
    store = write_store(batches(8, 64), tmp_path, rows_per_file=200)
    found = list(store.batches(batch_tokens=32, capacity_tokens=128, seed=0, device=DEVICE))
    alike = list(store.batches(batch_tokens=32, capacity_tokens=128, seed=0))
    assert all(torch.equal(there.cpu(), here) for there, here in zip(found, alike, strict=True))
    assert {batch.device.type for batch in found} == {DEVICE}


@pytest.mark.parametrize("autocast", ["off", "bf16"])
def test_a_topk_step_that_is_not_recorded_waits_for_nothing(autocast: str) -> None:
    """Any copy back to the host would raise here. Steps that draw up the dead list or resample do wait."""
    trained = trainer("topk", autocast=autocast)
    ready = [batch.to(DEVICE) for batch in batches(4, 64)]
    for x in ready[:2]:
        trained.step(x, is_recorded=False)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for x in ready[2:]:
            trained.step(x, is_recorded=False)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def trainer(name: str, **fields: object) -> DictionaryTrainer:
    config, _ = CONFIGS[name]
    training = dataclasses.replace(short(100), **fields)
    dictionary = build_dictionary(config, d_in=16, seed=0, sample=next(batches(1)))
    assert isinstance(dictionary, TrainableDictionary)
    return DictionaryTrainer(name, dictionary.to(DEVICE).train(), training)
