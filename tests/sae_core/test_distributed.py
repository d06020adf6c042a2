"""Ranks that train together agree bit for bit, and with one process on the whole batches up to rounding."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.distributed import ALONE, Ranks, open_ranks
from sae_core.errors import TrainingDataError
from sae_core.synthetic import PlantedDictionary
from sae_core.training.cohort import TrainedDictionary
from sae_core.training.history import read_history, write_history
from sae_core.training.loop import train_dictionaries
from sae_core.training.resume import CheckpointPlan
from tests.sae_core.processes import in_ranks

BATCH_TOKENS, N_STEPS = 64, 20
PLANTED = PlantedDictionary.draw(n_features=24, d_in=12, k=2, seed=0, scale=5.0, offset_norm=10.0)
TRAINING = TrainingConfig(
    n_tokens=N_STEPS * BATCH_TOKENS,
    batch_tokens=BATCH_TOKENS,
    learning_rate=1e-2,
    l1_warmup_frac=0.2,
    resample_every_steps=6,
    resample_until_frac=1.0,
    dead_after_tokens=2 * BATCH_TOKENS,
)
CONFIGS = {
    "relu": (DictionaryConfig(kind="relu", n_features=40, l1_weight=8.0), TRAINING),
    "steered": (
        DictionaryConfig(kind="relu", n_features=40, l0_target=3.0),
        dataclasses.replace(TRAINING, loss="normalised_mse"),
    ),
    "topk": (DictionaryConfig(kind="topk", n_features=40, k=2), dataclasses.replace(TRAINING, seed=1)),
}


def batches(ranks: Ranks = ALONE, n: int = N_STEPS) -> Iterator[torch.Tensor]:
    """This rank's share of every batch."""
    for batch in PLANTED.iter_batches(n, batch_tokens=BATCH_TOKENS, seed=1):
        yield batch.chunk(ranks.n)[ranks.index]


def keep(trained: dict[str, TrainedDictionary], directory: Path) -> None:
    for name, each in trained.items():
        write_history(each.history, directory / name)
        save_file(
            {key: tensor.clone() for key, tensor in each.dictionary.state_dict().items()}, directory / f"{name}.st"
        )


def train(ranks: Ranks = ALONE, **options: object) -> dict[str, TrainedDictionary]:
    return train_dictionaries(CONFIGS, batches(ranks), device="cpu", record_every_steps=1, ranks=ranks, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each of two ranks found, in a folder of its own."""
    root = tmp_path_factory.mktemp("ranks")
    in_ranks(2, lambda ranks: keep(train(ranks), root / str(ranks.index)))
    return root


@pytest.mark.parametrize("name", CONFIGS)
def test_ranks_are_bit_equal(trained: Path, name: str) -> None:
    first, second = (load_file(trained / str(i) / f"{name}.st") for i in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert read_history(trained / "0" / name) == read_history(trained / "1" / name)


def test_ranks_find_what_one_process_finds(trained: Path) -> None:
    """Every recorded loss to 1e-5 relative, weights to 1e-4; with resampling, AuxK and a steered L1 weight."""
    for name, alone in train().items():
        history = read_history(trained / "0" / name)
        n_resampled = sum(record.n_resampled for record in alone.history)
        assert n_resampled > 0 or name == "steered"
        assert len(history) == len(alone.history) == N_STEPS
        for found, wanted in zip(history, alone.history, strict=True):
            for field in ("loss", "mse", "fvu", "l1", "learning_rate"):
                assert getattr(found, field) == pytest.approx(getattr(wanted, field), rel=1e-5), (name, found.step)
            for field in ("step", "n_tokens", "n_resampled", "dead_frac"):
                assert getattr(found, field) == getattr(wanted, field), (name, found.step)
            assert found.l0 == pytest.approx(wanted.l0, rel=1e-3)
        tensors = load_file(trained / "0" / f"{name}.st")
        for key, tensor in alone.dictionary.state_dict().items():
            torch.testing.assert_close(tensors[key], tensor, rtol=1e-4, atol=1e-4)


def test_an_interrupted_training_of_two_ranks_goes_on_bit_for_bit(trained: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop_after(n: int) -> Callable[[int], None]:
        count = iter(range(1, 1000))

        def stop(_: int) -> None:
            if next(count) == n:
                raise Stop

        return stop

    def work(ranks: Ranks) -> None:
        # By the first rank's clock: only its own may decide, or the ranks would write different states.
        plan = CheckpointPlan(directory=tmp_path / "state", every_s=0.0 if ranks.is_first else None)
        with pytest.raises(Stop):
            train(ranks, checkpoint=plan, on_batch=stop_after(9))
        keep(train(ranks, checkpoint=plan), tmp_path / str(ranks.index))

    in_ranks(2, work)
    for name in CONFIGS:
        for i in range(2):
            found, wanted = (load_file(root / str(i) / f"{name}.st") for root in (tmp_path, trained))
            assert all(torch.equal(found[key], wanted[key]) for key in wanted)
            assert read_history(tmp_path / str(i) / name) == read_history(trained / str(i) / name)


def test_what_goes_wrong_on_one_rank_ends_all(tmp_path: Path) -> None:
    def work(ranks: Ranks) -> None:
        one = {"topk": CONFIGS["topk"]}
        uneven = list(batches(ranks, 5 + ranks.index))
        found = train_dictionaries(one, uneven, device="cpu", ranks=ranks)["topk"]
        assert found.n_tokens == 5 * BATCH_TOKENS
        poisoned = list(batches(ranks, 5))
        if ranks.index == 1:
            poisoned[3][7, 2] = float("nan")
        with pytest.raises(TrainingDataError, match="loss = nan at step 4"):
            train_dictionaries(one, poisoned, device="cpu", ranks=ranks)
        odd = [batch[: 32 - ranks.index] if i == 2 else batch for i, batch in enumerate(batches(ranks, 5))]
        with pytest.raises(TrainingDataError, match="hold between 31 and 32 activations"):
            train_dictionaries(one, odd, device="cpu", ranks=ranks)

    in_ranks(2, work)


def test_statistics_over_ranks(tmp_path: Path) -> None:
    x = torch.randn(12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3

    def work(ranks: Ranks) -> None:
        mine = x.chunk(ranks.n)[ranks.index]
        assert torch.equal(ranks.rows(mine), x)
        torch.testing.assert_close(ranks.mean(mine.mean(dim=0)), x.mean(dim=0))
        wanted = (x - x.mean(dim=0)).square().sum() / ranks.n
        torch.testing.assert_close(ranks.total_variation(mine), wanted)
        assert ranks.least(5 - ranks.index, ranks.index) == (5 - ranks.n + 1, 0)
        parameter = torch.nn.Parameter(torch.zeros(2))
        parameter.grad = torch.tensor([1.0, ranks.index])
        idle = torch.nn.Parameter(torch.zeros(3))
        fired = torch.tensor([ranks.index == 1, False, ranks.index == 0])
        any_fired, numbers = ranks.reduce_step(
            [parameter, idle], fired=fired, numbers=torch.tensor([2.0 * ranks.index])
        )
        assert any_fired.tolist() == [True, False, True]
        assert numbers.tolist() == [2.0]
        assert parameter.grad is not None and parameter.grad.tolist() == [1.0, 1.0]
        assert idle.grad is not None and not idle.grad.any()
        shared = torch.full((2,), float(ranks.index))
        ranks.share([shared])
        assert not shared.any()

    in_ranks(3, work)


def test_one_process_alone_communicates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with open_ranks() as ranks:
        assert ranks is ALONE and ranks.is_first
        x = torch.ones(2, 3)
        assert ranks.rows(x) is x and ranks.mean(x) is x
    assert not torch.distributed.is_initialized()
