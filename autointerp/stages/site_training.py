"""The training of one site's dictionaries within a run; a training that was killed goes on from its last state."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.errors import ConfigError
from autointerp.progress import Bar, Progress
from autointerp.runs.layout import RunLayout
from autointerp.seeds import derive
from autointerp.stages.site_activations import SiteActivations
from autointerp.stages.workbench import Workbench
from autointerp.subject.activations import TrainingChunks
from autointerp.subject.sinks import NO_LIMIT
from sae_core.activations.buffer import ShuffleBuffer
from sae_core.activations.store_writer import write_store
from sae_core.distributed import Ranks
from sae_core.training.cohort import Configs
from sae_core.training.history import StepRecord
from sae_core.training.loop import TrainedDictionary, train_dictionaries
from sae_core.training.resume import CheckpointPlan, remove_states
from sae_core.training.wandb_log import WandbLog

__all__ = ["check_ranks", "forget_training", "train_site"]


def check_ranks(config_batch_tokens: int, ranks: Ranks) -> None:
    """Raise ConfigError where a batch cannot be shared out among the processes."""
    if config_batch_tokens % ranks.n:
        raise ConfigError(
            f"train.batch_tokens = {config_batch_tokens} cannot be shared out among {ranks.n} processes; "
            f"give a multiple of {ranks.n}"
        )


def train_site(
    site: SiteActivations,
    configs: Configs,
    layout: RunLayout,
    progress: Progress,
    *,
    origin: Mapping[str, str],
    ranks: Ranks,
) -> tuple[dict[str, TrainedDictionary], int]:
    """Train on the site's activations; returns the dictionaries and how many activations there were.

    origin: hashes of subject and corpus, which bind states and stored activations.
    """
    bench, point = site.bench, site.point
    train = bench.config.train
    facts = {**origin, "point": str(point), **_reading(site)}
    plan = CheckpointPlan(directory=layout.training_state(str(point)), every_s=train.checkpoint_every_s, facts=facts)
    notes: dict[str, str] = {}
    seen = 0
    batches = _batches(site, layout, facts, ranks, progress)
    with ExitStack() as opened:
        total = max(training.n_tokens for _, training in configs.values())
        bar = opened.enter_context(progress.bar(f"train {point}", total=total, unit="tok"))
        bar.update(0, note="shuffling activations")
        charts = None
        if train.wandb_project is not None and ranks.is_first:
            charts = opened.enter_context(_charts(bench, point, configs, layout, facts))

        def show(name: str, record: StepRecord) -> None:
            notes[name] = f"{name} fvu {record.fvu:.2f} l0 {record.l0:.0f}"
            if charts is not None:
                charts.record(name, record)

        def count(n: int) -> None:
            nonlocal seen
            seen += n
            bar.update(seen, note=", ".join(notes.values()))

        trained = train_dictionaries(
            configs,
            batches,
            device=bench.subject.device,
            on_step=show,
            on_batch=count,
            checkpoint=plan,
            ranks=ranks,
        )
    return trained, seen


def forget_training(layout: RunLayout) -> None:
    """Remove the states and activations."""
    if layout.training.is_dir():
        for folder in layout.training.iterdir():
            remove_states(folder)
    for folder in (layout.training, layout.activations):
        shutil.rmtree(folder, ignore_errors=True)


def _reading(site: SiteActivations) -> dict[str, Any]:
    config = site.bench.config
    subject = config.subject
    reading: dict[str, Any] = {
        "max_tokens": config.corpus.dictionary_tokens,
        "context_tokens": subject.context_tokens,
        "batch_contexts": subject.batch_contexts,
    }
    # said where it is not the default, so that states and activations of before are found again
    if subject.packing != "concatenate":
        reading["packing"] = subject.packing
    if subject.skip_first:
        reading["skip_first"] = subject.skip_first
    if site.longest < NO_LIMIT:
        reading["longest"] = site.longest
    return reading


class _Counted:
    def __init__(self, chunks: TrainingChunks, bar: Bar) -> None:
        self._chunks, self._bar = chunks, bar

    def __iter__(self) -> Iterator[Tensor]:
        return self.iter_from(0)

    def iter_from(self, n_rows: int) -> Iterator[Tensor]:
        for chunk in self._chunks.iter_from(n_rows):
            n_rows += chunk.shape[0]
            self._bar.update(n_rows)
            yield chunk


def _batches(
    site: SiteActivations, layout: RunLayout, facts: Mapping[str, Any], ranks: Ranks, progress: Progress
) -> ShuffleBuffer:
    """This process's share of the shuffled batches, streamed or from files."""
    bench, point = site.bench, site.point
    train, shard = bench.config.train, (ranks.index, ranks.n)
    chunks = TrainingChunks(bench.subject, bench.corpus, point, shard=shard, **_reading(site))
    which = (str(point),) if ranks.n == 1 else (str(point), ranks.index)
    seed = derive(bench.config.seed, "shuffle", *which)
    batch_tokens, capacity_tokens = train.batch_tokens // ranks.n, train.buffer_tokens // ranks.n
    if train.activations == "stream":
        return ShuffleBuffer(chunks, batch_tokens=batch_tokens, capacity_tokens=capacity_tokens, seed=seed)
    facts = {**facts, "shard": f"{ranks.index} of {ranks.n}"}
    folder = _folder(train.activations_dir or layout.activations, point, facts, train.activations_dtype)
    with progress.bar(f"store {point}", total=bench.config.corpus.dictionary_tokens / ranks.n, unit="tok") as bar:
        store = write_store(_Counted(chunks, bar), folder, dtype=train.activations_dtype, facts=facts)
    return store.batches(
        batch_tokens=batch_tokens, capacity_tokens=capacity_tokens, seed=seed, device=bench.subject.device
    )


def _folder(root: Path, point: SitePoint, facts: Mapping[str, Any], dtype: str) -> Path:
    text = json.dumps({**facts, "dtype": dtype}, sort_keys=True)
    return root.expanduser() / f"{point}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def _charts(
    bench: Workbench, point: SitePoint, configs: Configs, layout: RunLayout, facts: Mapping[str, Any]
) -> WandbLog:
    settings = {
        name: {"dictionary": asdict(config), "training": asdict(training)}
        for name, (config, training) in configs.items()
    }
    assert bench.config.train.wandb_project is not None
    return WandbLog(
        project=bench.config.train.wandb_project,
        name=f"{bench.config.name} {point}",
        facts={**facts, "dictionaries": settings},
        directory=layout.root,
    )
