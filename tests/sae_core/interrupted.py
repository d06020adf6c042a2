"""A small training that can be interrupted and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

from sae_core.activations.buffer import ShuffleBuffer
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.synthetic import PlantedDictionary
from sae_core.training.cohort import TrainedDictionary
from sae_core.training.loop import training_steps
from sae_core.training.resume import CheckpointPlan
from sae_core.turns import done

__all__ = ["BATCH_TOKENS", "CONFIGS", "N_STEPS", "Chunks", "buffer", "train"]

N_STEPS = 18
BATCH_TOKENS = 32
PLANTED = PlantedDictionary.draw(n_features=24, d_in=12, k=2, seed=0, scale=5.0, offset_norm=10.0)
TRAINING = TrainingConfig(
    n_tokens=N_STEPS * BATCH_TOKENS,
    batch_tokens=BATCH_TOKENS,
    learning_rate=2e-2,
    resample_every_steps=4,
    resample_until_frac=1.0,
    dead_after_tokens=2 * BATCH_TOKENS,
)
CONFIGS = {
    "relu": (DictionaryConfig(kind="relu", n_features=40, l1_weight=8.0), TRAINING),
    "topk": (DictionaryConfig(kind="topk", n_features=40, k=2), TRAINING),
    "random": (DictionaryConfig(kind="random", n_features=7), TRAINING),
}


class Chunks:
    """Chunks of uneven size. `n_made` counts the rows that were computed."""

    sizes = [50, 3, 200, 0, 77] * 2  # with a pool of 300 the stream is dry after twelve batches

    def __init__(self) -> None:
        self.n_made = 0

    def __iter__(self) -> Iterator[torch.Tensor]:
        for i, size in enumerate(self.sizes):
            self.n_made += size
            yield PLANTED.activations(PLANTED.codes(size, seed=i))


class PositionedChunks(Chunks):
    """The same, able to begin anywhere."""

    def iter_from(self, n_rows: int) -> Iterator[torch.Tensor]:
        for i, size in enumerate(self.sizes):
            if n_rows >= size:
                n_rows -= size
                continue
            self.n_made += size
            yield PLANTED.activations(PLANTED.codes(size, seed=i))[n_rows:]
            n_rows = 0


def buffer(chunks: Iterable[torch.Tensor] | None = None) -> ShuffleBuffer:
    return ShuffleBuffer(chunks or PositionedChunks(), batch_tokens=BATCH_TOKENS, capacity_tokens=300, seed=3)


def train(
    directory: Path,
    batches: Iterable[torch.Tensor],
    *,
    every_steps: int = 1,
    on_batch: Callable[[int], None] | None = None,
) -> dict[str, TrainedDictionary]:
    """The training, with its states under `directory`."""
    plan = CheckpointPlan(directory=directory / "state", every_s=None, every_steps=every_steps)
    return done(
        training_steps(
            CONFIGS,
            batches,
            device="cpu",
            checkpoint=plan,
            record_every_steps=5,
            on_batch=on_batch,
            reads_ahead=True,
        )
    )
