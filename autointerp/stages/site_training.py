"""The training of a run's dictionaries, sites in turn; a training that was killed goes on from its last state."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.errors import ConfigError
from autointerp.progress import Progress
from autointerp.runs.layout import RunLayout
from autointerp.seeds import derive
from autointerp.stages.kept_activations import activations_folder, require_room
from autointerp.stages.site_activations import SiteActivations, named
from autointerp.stages.workbench import Workbench
from autointerp.subject.activations import SharedForward, TrainingChunks
from autointerp.subject.sinks import NO_LIMIT
from sae_core.activations.buffer import ShuffleBuffer
from sae_core.activations.store import INDEX_FILE, ActivationStore
from sae_core.activations.store_writer import writing_steps
from sae_core.distributed import Ranks
from sae_core.training.cohort import Configs
from sae_core.training.history import StepRecord
from sae_core.training.loop import TrainedDictionary, training_steps
from sae_core.training.resume import CheckpointPlan, remove_states
from sae_core.training.wandb_log import WandbLog
from sae_core.turns import in_turn

__all__ = ["check_ranks", "forget_training", "train_sites"]


def check_ranks(config_batch_tokens: int, ranks: Ranks) -> None:
    """Raise ConfigError where a batch cannot be shared out among the processes."""
    if config_batch_tokens % ranks.n:
        raise ConfigError(
            f"train.batch_tokens = {config_batch_tokens} cannot be shared out among {ranks.n} processes; "
            f"give a multiple of {ranks.n}"
        )


def train_sites(
    sites: Mapping[SitePoint, SiteActivations],
    configs: Mapping[SitePoint, Configs],
    layout: RunLayout,
    progress: Progress,
    *,
    origin: Mapping[str, str],
    ranks: Ranks,
) -> dict[SitePoint, dict[str, TrainedDictionary]]:
    """Train every site's dictionaries on its activations; one pass of the subject serves all sites.

    origin: hashes of subject and corpus, which bind states and stored activations.
    """
    if not configs:
        return {}
    reading = [_Reading(sites[point], origin, ranks) for point in configs]
    train = reading[0].bench.config.train
    forward = SharedForward(reading[0].bench.subject, configs)
    if train.activations == "stream":
        batches = {each.point: each.streamed(forward) for each in reading}
        return _train(configs, batches, reading, layout, progress, ranks, forward=forward)
    stores = _store(reading, layout, progress, forward)
    trained: dict[SitePoint, dict[str, TrainedDictionary]] = {}
    for each in reading:  # from files one site after the other, so that one pool is held at a time
        part = {each.point: configs[each.point]}
        batches = {each.point: each.stored(stores[each.point])}
        trained |= _train(part, batches, [each], layout, progress, ranks)
    return trained


def _train(
    configs: Mapping[SitePoint, Configs],
    batches: Mapping[SitePoint, ShuffleBuffer],
    reading: Sequence[_Reading],
    layout: RunLayout,
    progress: Progress,
    ranks: Ranks,
    *,
    forward: SharedForward | None = None,
) -> dict[SitePoint, dict[str, TrainedDictionary]]:
    """Trainings in turn, a batch of each site after the other."""
    bench = reading[0].bench
    train = bench.config.train
    notes: dict[str, str] = {}
    seen = 0
    with ExitStack() as opened:
        total = sum(max(training.n_tokens for _, training in each.values()) for each in configs.values())
        bar = opened.enter_context(progress.bar(f"train {named(configs)}", total=total, unit="tok"))
        bar.update(0, note="shuffling activations")
        charts = None
        if train.wandb_project is not None and ranks.is_first:
            charts = opened.enter_context(_charts(bench, configs, layout, {str(r.point): r.facts for r in reading}))

        def show(name: str, record: StepRecord) -> None:
            notes[name] = f"{name} fvu {record.fvu:.2f} l0 {record.l0:.0f}"
            if charts is not None:
                charts.record(name, record)

        def count(n: int) -> None:
            nonlocal seen
            seen += n
            bar.update(seen, note=", ".join(notes.values()))

        works = {
            each.point: training_steps(
                configs[each.point],
                batches[each.point],
                device=bench.subject.device,
                on_step=show,
                on_batch=count,
                checkpoint=CheckpointPlan(
                    directory=layout.training_state(str(each.point)),
                    every_s=train.checkpoint_every_s,
                    facts=each.facts,
                ),
                ranks=ranks,
            )
            for each in reading
        }
        return in_turn(works, on_end=None if forward is None else forward.leave)


def forget_training(layout: RunLayout) -> None:
    """Remove the states and activations."""
    if layout.training.is_dir():
        for folder in layout.training.iterdir():
            remove_states(folder)
    for folder in (layout.training, layout.activations):
        shutil.rmtree(folder, ignore_errors=True)


class _Reading:
    """How the activations of one site are read: shuffled, streamed or from files, this process's share of them."""

    def __init__(self, site: SiteActivations, origin: Mapping[str, str], ranks: Ranks) -> None:
        self.bench, self.point, self.ranks = site.bench, site.point, ranks
        config = self.bench.config
        subject = config.subject
        self._options: dict[str, Any] = {
            "max_tokens": config.corpus.dictionary_tokens,
            "context_tokens": subject.context_tokens,
            "batch_contexts": subject.batch_contexts,
        }
        # said where it is not the default, so that states and activations of before are found again
        if subject.packing != "concatenate":
            self._options["packing"] = subject.packing
        if subject.skip_first:
            self._options["skip_first"] = subject.skip_first
        if site.longest < NO_LIMIT:
            self._options["longest"] = site.longest
        if self.bench.subject.dtype != torch.float32:
            origin = {**origin, "dtype": str(self.bench.subject.dtype)}
        self.facts = {**origin, "point": str(self.point), **self._options}

    def chunks(self, forward: SharedForward) -> TrainingChunks:
        shard = (self.ranks.index, self.ranks.n)
        return TrainingChunks(
            self.bench.subject, self.bench.corpus, self.point, shard=shard, forward=forward, **self._options
        )

    def streamed(self, forward: SharedForward) -> ShuffleBuffer:
        return ShuffleBuffer(self.chunks(forward), **self._shuffling)

    def stored(self, store: ActivationStore) -> ShuffleBuffer:
        return store.batches(device=self.bench.subject.device, **self._shuffling)

    @property
    def stored_facts(self) -> dict[str, Any]:
        return {**self.facts, "shard": f"{self.ranks.index} of {self.ranks.n}"}

    def folder(self, root: Path) -> Path:
        text = json.dumps({**self.stored_facts, "dtype": self.bench.config.train.activations_dtype}, sort_keys=True)
        return root / f"{self.point}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    @property
    def _shuffling(self) -> dict[str, Any]:
        train, ranks = self.bench.config.train, self.ranks
        which = (str(self.point),) if ranks.n == 1 else (str(self.point), ranks.index)
        return {
            "batch_tokens": train.batch_tokens // ranks.n,
            "capacity_tokens": train.buffer_tokens // ranks.n,
            "seed": derive(self.bench.config.seed, "shuffle", *which),
        }


class _Counted:
    def __init__(self, chunks: TrainingChunks, count: Callable[[int], None]) -> None:
        self._chunks, self._count = chunks, count

    def __iter__(self) -> Iterator[Tensor]:
        return self.iter_from(0)

    def iter_from(self, n_rows: int) -> Iterator[Tensor]:
        self._count(n_rows)
        for chunk in self._chunks.iter_from(n_rows):
            self._count(chunk.shape[0])
            yield chunk


def _store(
    reading: Sequence[_Reading], layout: RunLayout, progress: Progress, forward: SharedForward
) -> dict[SitePoint, ActivationStore]:
    """The stores of all sites: found as another run left them, or written in one pass of the subject.

    Raises ConfigError where the disk has not the room.
    """
    bench, n_ranks = reading[0].bench, reading[0].ranks.n
    train = bench.config.train
    root = activations_folder(bench, layout)
    folders = {each.point: each.folder(root) for each in reading}
    missing = []
    for each in reading:
        if (folders[each.point] / INDEX_FILE).is_file():
            progress.say(f"{each.point}: activations read again from {folders[each.point]}")
            forward.leave(each.point)
        else:
            missing.append(each.point)
    n_tokens = bench.config.corpus.dictionary_tokens
    if missing:
        require_room(bench, root, n_tokens, missing, progress)
    n_done = 0
    with progress.bar(f"store {named(folders)}", total=len(folders) * n_tokens / n_ranks, unit="tok") as bar:

        def count(n: int) -> None:
            nonlocal n_done
            n_done += n
            bar.update(n_done)

        works = {
            each.point: writing_steps(
                _Counted(each.chunks(forward), count),
                folders[each.point],
                dtype=train.activations_dtype,
                facts=each.stored_facts,
            )
            for each in reading
        }
        return in_turn(works, on_end=forward.leave)


def _charts(
    bench: Workbench, configs: Mapping[SitePoint, Configs], layout: RunLayout, facts: Mapping[str, Any]
) -> WandbLog:
    settings = {
        name: {"dictionary": asdict(config), "training": asdict(training)}
        for each in configs.values()
        for name, (config, training) in each.items()
    }
    assert bench.config.train.wandb_project is not None
    return WandbLog(
        project=bench.config.train.wandb_project,
        name=f"{bench.config.name} {named(configs)}",
        facts={"sites": facts, "dictionaries": settings},
        directory=layout.root,
    )
