"""The training of a run's dictionaries, sites in turn; a training that was killed goes on from its last state."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from sae_core.distributed import ALONE, Ranks
from sae_core.training.cohort import Configs
from sae_core.training.history import StepRecord
from sae_core.training.loop import TrainedDictionary, training_steps
from sae_core.training.resume import CheckpointPlan, remove_states
from sae_core.training.wandb_log import WandbLog
from sae_core.turns import in_turn

__all__ = ["check_ranks", "forget_training", "store_activations", "train_sites"]


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
    part: str = "",
) -> dict[SitePoint, dict[str, TrainedDictionary]]:
    """Train every site's dictionaries on its activations; one pass of the subject serves all sites.

    origin: hashes of subject and corpus, which bind states and stored activations. part: added to the names of
    states, where other workers train other dictionaries of the run.
    """
    if not configs:
        return {}
    reading = [_Reading(sites[point], origin, ranks) for point in configs]
    train = reading[0].bench.config.train
    forward = SharedForward(reading[0].bench.subject, configs)
    states = {each.point: layout.training_state(f"{each.point}{part}") for each in reading}
    if train.activations == "stream":
        return _train(
            reading, configs, lambda each, count: each.streamed(forward, count), states, layout, progress, forward
        )
    stores = _store(reading, layout, progress, forward)
    trained: dict[SitePoint, dict[str, TrainedDictionary]] = {}
    for each in reading:  # from files one site after the other, so that one pool is held at a time
        trained |= _train(
            [each], configs, lambda each, _: each.stored(stores[each.point]), states, layout, progress, forward
        )
    return trained


def store_activations(
    sites: Mapping[SitePoint, SiteActivations],
    points: Iterable[SitePoint],
    layout: RunLayout,
    progress: Progress,
    *,
    origin: Mapping[str, str],
) -> None:
    """Write the activations at `points` where `train_sites` of any process reads them, unless they are there."""
    reading = [_Reading(sites[point], origin, ALONE) for point in points]
    _store(reading, layout, progress, SharedForward(reading[0].bench.subject, [each.point for each in reading]))


def _train(
    reading: Sequence[_Reading],
    every: Mapping[SitePoint, Configs],
    batches: Callable[[_Reading, Callable[[int], None]], ShuffleBuffer],
    states: Mapping[SitePoint, Path],
    layout: RunLayout,
    progress: Progress,
    forward: SharedForward,
) -> dict[SitePoint, dict[str, TrainedDictionary]]:
    """Trainings in turn, a batch of each site after the other. `batches` gives a site's, counting what it reads."""
    bench, ranks = reading[0].bench, reading[0].ranks
    train = bench.config.train
    configs = {each.point: every[each.point] for each in reading}
    notes: dict[str, str] = {}
    seen = n_read = 0
    with ExitStack() as opened:
        total = sum(max(training.n_tokens for _, training in each.values()) for each in configs.values())
        bar = opened.enter_context(progress.bar(f"train {named(configs)}", total=total, unit="tok"))
        charts = None
        if train.wandb_project is not None and ranks.is_first:
            charts = opened.enter_context(_charts(bench, configs, layout, {str(r.point): r.facts for r in reading}))

        def show(name: str, record: StepRecord) -> None:
            notes[name] = f"{name} fvu {record.fvu:.2f} l0 {record.l0:.0f}"
            if charts is not None:
                charts.record(name, record)

        def fill(n: int) -> None:
            nonlocal n_read
            n_read += n
            if not seen:
                bar.update(0, note=f"shuffling {n_read:,} activations")

        def count(n: int) -> None:
            nonlocal seen
            seen += n
            bar.update(seen, note=", ".join(notes.values()))

        works = {
            each.point: training_steps(
                configs[each.point],
                batches(each, fill),
                device=bench.subject.device,
                on_step=show,
                on_batch=count,
                checkpoint=CheckpointPlan(
                    directory=states[each.point],
                    every_s=train.checkpoint_every_s,
                    facts=each.facts,
                ),
                ranks=ranks,
                reads_ahead=train.activations != "stream" or each.is_read_faster_than(configs[each.point]),
            )
            for each in reading
        }
        return in_turn(works, on_end=forward.leave)


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

    def is_read_faster_than(self, configs: Configs) -> bool:
        """Whether one thread runs the subject on a batch while the others train on one: judged by their weights, so
        that no clock decides which threads compute an activation."""
        width = self.bench.subject.width(self.point)
        n_trained = sum(2 * width * (dictionary.n_features or 0) for dictionary, _ in configs.values())
        return self.bench.subject.n_weights < n_trained

    def streamed(self, forward: SharedForward, count: Callable[[int], None]) -> ShuffleBuffer:
        return ShuffleBuffer(_Counted(self.chunks(forward), count), **self._shuffling)

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
    folders = {each.point: each.folder(activations_folder(bench, layout)) for each in reading}
    missing = {point: folder for point, folder in folders.items() if not (folder / INDEX_FILE).is_file()}
    for point in [each for each in folders if each not in missing]:
        progress.say(f"{point}: activations read again from {folders[point]}")
        forward.leave(point)
    n_tokens = bench.config.corpus.dictionary_tokens
    if missing:
        require_room(bench, missing, n_tokens, progress)
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
