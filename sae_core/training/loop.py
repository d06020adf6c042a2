"""The training loop: several dictionaries on one stream of activations, in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.activations.stream import BatchStream
from sae_core.device import resolve_device
from sae_core.distributed import ALONE, Ranks
from sae_core.errors import TrainingDataError
from sae_core.training.cohort import Cohort, Configs, TrainedDictionary
from sae_core.training.history import StepRecord
from sae_core.training.resume import CheckpointPlan, SavedTraining, StateKeeper
from sae_core.turns import Steps, done

__all__ = ["TrainedDictionary", "train_dictionaries", "training_steps"]


def train_dictionaries(
    configs: Configs,
    batches: Iterable[Float[Tensor, "_ d_in"]],
    *,
    device: str | torch.device = "auto",
    sample: Float[Tensor, "n_sample d_in"] | None = None,
    on_step: Callable[[str, StepRecord], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
    record_every_steps: int = 10,
    checkpoint: CheckpointPlan | None = None,
    resume: bool = True,
    ranks: Ranks = ALONE,
) -> dict[str, TrainedDictionary]:
    """Train every dictionary in `configs` on the same batches, each up to its own `n_tokens`.

    configs: by name; fixed kinds are only built. sample: activations that set decoder biases and input scales; None
    takes the first batch. on_step: called with name and new record. on_batch: called with each batch's number of
    activations, after a resume first with those already done. If batches run out early, a warning is logged.

    checkpoint: where states are written, for `resume` after a kill; on a CPU the numbers equal an uninterrupted
    training. The last state stays until `remove_states`. ranks: processes that train together, each on its share of
    every batch.

    Dictionaries come back on `device`, in evaluation mode, without gradients. Raises TrainingDataError without
    activations or for a loss not finite, WidthMismatchError, TrainingStateError for a damaged state or one of other
    settings.
    """
    return done(
        training_steps(
            configs,
            batches,
            device=device,
            sample=sample,
            on_step=on_step,
            on_batch=on_batch,
            record_every_steps=record_every_steps,
            checkpoint=checkpoint,
            resume=resume,
            ranks=ranks,
        )
    )


def training_steps(
    configs: Configs,
    batches: Iterable[Float[Tensor, "_ d_in"]],
    *,
    device: str | torch.device = "auto",
    sample: Float[Tensor, "n_sample d_in"] | None = None,
    on_step: Callable[[str, StepRecord], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
    record_every_steps: int = 10,
    checkpoint: CheckpointPlan | None = None,
    resume: bool = True,
    ranks: Ranks = ALONE,
    reads_ahead: bool = False,
) -> Steps[dict[str, TrainedDictionary]]:
    """As `train_dictionaries`, a batch a step: trainings on several streams take turns (`sae_core.turns`).

    reads_ahead: the next batch is read while one is trained on, on a thread of its own where there are several. Batches
    must then not share memory.
    """
    stream = BatchStream(batches, ranks=ranks)
    keeper = None
    if checkpoint is not None:
        made_with = _settings(configs, record_every_steps, sample, checkpoint, ranks)
        keeper = StateKeeper(checkpoint, made_with=made_with, ranks=ranks)
        if not resume:
            keeper.forget()
    saved = None if keeper is None else keeper.load()
    place = resolve_device(device)
    if saved is None:
        batch = _first_batch(stream)
        whole = Cohort(configs, ranks.rows(batch) if sample is None else sample, place, ranks)
    else:
        whole = Cohort(configs, saved.training.tensors["sample"] if sample is None else sample, place, ranks)
        batch = _go_on(whole, stream, saved)
        if on_batch is not None:
            on_batch(whole.n_tokens)
    is_sample_kept = sample is None
    while batch is not None and whole.running:
        # a state holds the stream at the batch it is of
        is_due = keeper is not None and keeper.is_due(whole.n_steps + 1)
        read_next = stream.next_batch if reads_ahead and not is_due and whole.goes_on_after(batch) else None
        n_rows, following = whole.step(
            batch, on_step=on_step, record_every_steps=record_every_steps, read_next=read_next
        )
        if on_batch is not None:
            on_batch(n_rows)
        if keeper is not None and is_due and whole.running:
            keeper.save(whole.n_steps, training=whole.state(with_sample=is_sample_kept), stream=stream.state())
        yield
        if read_next is None:
            following = stream.next_batch() if whole.running else None
        batch = following
    if keeper is not None and (saved is None or saved.stream is not None):
        keeper.save(whole.n_steps, training=whole.state(with_sample=is_sample_kept), stream=None)
    return whole.finish()


def _first_batch(stream: BatchStream) -> Float[Tensor, "_ d_in"]:
    batch = stream.next_batch()
    if batch is None:
        raise TrainingDataError("there are no activations to train on; give a longer corpus or a smaller batch_tokens")
    return batch


def _go_on(whole: Cohort, stream: BatchStream, saved: SavedTraining) -> Float[Tensor, "_ d_in"] | None:
    whole.restore(saved.training)
    if saved.stream is None:
        return None
    stream.restore(saved.stream)
    return stream.next_batch()


def _settings(
    configs: Configs, record_every_steps: int, sample: Tensor | None, checkpoint: CheckpointPlan, ranks: Ranks
) -> dict[str, Any]:
    hashed = None
    if sample is not None:
        content = sample.detach().to("cpu", torch.float32).contiguous().numpy()
        hashed = hashlib.blake2b(content.tobytes(), digest_size=16).hexdigest()
    return {
        "dictionaries": {
            name: {"dictionary": asdict(config), "training": asdict(training)}
            for name, (config, training) in configs.items()
        },
        "record_every_steps": record_every_steps,
        "sample": hashed,
        "n_ranks": ranks.n,
        **checkpoint.facts,
    }
