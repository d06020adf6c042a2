"""The only training loop: several dictionaries on one stream of activations, in one pass.

Takes configurations and an iterable of activation batches, gives trained dictionaries with their history. Each
dictionary sees the same batches, and none influences another. Knows nothing of where activations come from; one
dictionary's step (trainer), what is trained together (cohort), the stream and states on disk (resume) are modules of
their own.
"""

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

__all__ = ["TrainedDictionary", "train_dictionaries"]


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
    """Train every dictionary in `configs` on the same batches; each stops at its own `n_tokens`.

    configs: name -> (what it is, how it is trained); fixed kinds are only built. sample: activations that set decoder
    biases and input scales; None takes the first batch. on_step: called with a name and its new record. on_batch:
    called with the number of activations of each batch done. No more batches are drawn than needed. When they run out
    early, a warning is logged and `TrainedDictionary.n_tokens` says how many were seen.

    checkpoint: where states are written, so that the same call goes on after a kill (`resume`; else it begins anew):
    on a CPU with the very numbers of an uninterrupted training. on_batch is then called once at the start with what
    was done before. The last state stays until `remove_states`; a training that has ended is not done again. ranks:
    the processes that train together, each with its share of every batch; all numbers are those of the whole batches.

    The dictionaries come back on `device`, in evaluation mode, without gradients. Raises TrainingDataError when there
    are no activations or a loss is not finite, WidthMismatchError when a batch has another width than the first,
    TrainingStateError when the state in `checkpoint` is damaged or of other settings.
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
        n_rows = whole.step(batch, on_step=on_step, record_every_steps=record_every_steps)
        if on_batch is not None:
            on_batch(n_rows)
        if keeper is not None and whole.running and keeper.is_due(whole.n_steps):
            keeper.save(whole.n_steps, training=whole.state(with_sample=is_sample_kept), stream=stream.state())
        batch = stream.next_batch() if whole.running else None
    if keeper is not None and (saved is None or saved.stream is not None):
        keeper.save(whole.n_steps, training=whole.state(with_sample=is_sample_kept), stream=None)
    return whole.finish()


def _first_batch(stream: BatchStream) -> Float[Tensor, "_ d_in"]:
    batch = stream.next_batch()
    if batch is None:
        raise TrainingDataError("there are no activations to train on; give a longer corpus or a smaller batch_tokens")
    return batch


def _go_on(whole: Cohort, stream: BatchStream, saved: SavedTraining) -> Float[Tensor, "_ d_in"] | None:
    """Bring dictionaries and stream to where they were; the batch that comes next, None at the end."""
    whole.restore(saved.training)
    if saved.stream is None:
        return None
    stream.restore(saved.stream)
    return stream.next_batch()


def _settings(
    configs: Configs, record_every_steps: int, sample: Tensor | None, checkpoint: CheckpointPlan, ranks: Ranks
) -> dict[str, Any]:
    """What a state must have been made with to be gone on with."""
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
