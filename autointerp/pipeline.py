"""The whole story: a config goes in, a leaderboard comes out.

    train     dictionaries on the subject's activations          needs torch
    harvest   evidence about a sample of their features          needs torch
    explain   an explainer asks a judge what each feature means
    score     scorers ask a judge where the feature fires; verdicts
    report    verdicts become scores, summary and page

Each stage reads and writes artefacts in the run's directory. The manifest's line is written last, so an interrupted
stage runs again and a finished one never does.
"""

from __future__ import annotations

import importlib
import math
import os
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from autointerp.audition.fitness import refuse_unfit
from autointerp.board.quality_file import is_measured
from autointerp.config.engine import EngineConfig
from autointerp.config.loading import differing_keys, parse_config, render_config
from autointerp.config.tree import Config
from autointerp.engine.desk import Desk
from autointerp.engine.engine import Engine, open_engine, spread
from autointerp.engine.far_progress import FarProgress
from autointerp.engine.task import Share
from autointerp.errors import ConfigError
from autointerp.memory import release_memory
from autointerp.parallel import is_follower, is_parallel, require_training
from autointerp.plugins import is_in_process
from autointerp.progress import Progress, SilentProgress
from autointerp.records.evidence_file import keep_features
from autointerp.runs.digests import finish_stage, require_files, require_journal
from autointerp.runs.journal import read_journal
from autointerp.runs.layout import RunLayout, write_atomically
from autointerp.runs.lock import RunLock, is_locked
from autointerp.runs.log import LoggedProgress
from autointerp.runs.manifest import Manifest, load_run_config, open_run, read_manifest
from autointerp.runs.remote import address_of, open_part, put_back, shards_brought
from autointerp.runs.shard_run import open_shard
from autointerp.runs.shards import Shard
from autointerp.score.presets import apply_preset
from autointerp.stages.asking import ask_with, budget_of
from autointerp.stages.asking_check import check_judges, check_settings, greet_judges
from autointerp.stages.merge import gather_shards
from autointerp.tensor_half import needs_tensor_half

__all__ = ["STAGES", "rescore", "run", "run_shard"]

STAGES = ("train", "harvest", "explain", "score", "report")
# the stages that put questions to a judge
ASKING = {"explain", "score"}
# the stages that ask dictionaries for codes; they may take hours
ENCODING = {"train", "harvest"}

# what is worth a process's start, some two seconds; the memory of each is a few hundred megabytes
FEATURES_PER_PROCESS, MOST_PROCESSES = 250, 8

Stage = Callable[..., dict[str, Any]]


def run(
    config: Config,
    *,
    out: Path,
    first: str | None = None,
    last: str = STAGES[-1],
    fresh: bool = False,
    progress: Progress | None = None,
    objects: Mapping[str, object] | None = None,
) -> RunLayout:
    """Bring the run in `out` up to the stage `last`, doing again nothing that is done before `first`.

    `objects`: what the config says is in memory, by the name of an entry, `subject.model` or `corpus.path`. Raises what
    the stages raise, and ArtefactError while another process writes the same run.
    """
    layout = RunLayout(out)
    wanted = _between(first or STAGES[0], last)
    if fresh and first is not None:
        raise ConfigError(f"--fresh deletes what --from {first} begins with; leave one of them out")
    if is_follower():
        _stage("train")(config, layout, SilentProgress(), objects=objects)
        return layout
    require_training(last)
    if objects and not config.engine.is_in_process:
        raise ConfigError("engine: what is in memory stays in this process; leave the engine out, or give files")
    _check_judges(config, layout, _undone(layout, wanted, first, fresh), is_fresh=fresh, progress=progress)
    with RunLock(layout.lock), open_engine(config.engine) as engine:
        return _advance(config, layout, wanted, engine, first=first, fresh=fresh, progress=progress, objects=objects)


def _advance(
    config: Config,
    layout: RunLayout,
    wanted: Sequence[str],
    engine: Engine | None,
    *,
    first: str | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    objects: Mapping[str, object] | None = None,
) -> RunLayout:
    if first is not None:
        _require_done(layout, STAGES[: STAGES.index(first)])
    manifest = open_run(layout, config, fresh=fresh)
    if first is not None and manifest.is_done("harvest"):
        _gather(layout)  # while its evidence is there
        manifest = Manifest(layout, read_manifest(layout))
    if objects:
        with needs_tensor_half("what is in memory"):
            importlib.import_module("autointerp.stages.objects").keep_identity(manifest, objects, config, layout)
    progress = LoggedProgress(progress or SilentProgress(), layout)
    _take_back(manifest, layout, wanted, first=first)
    for stage in wanted:
        if stage in ASKING and not manifest.is_done(stage):
            _gather(layout)  # of shards, or of workers that were interrupted
            manifest = Manifest(layout, read_manifest(layout))
        if manifest.is_done(stage):
            progress.say(f"{stage}: done before")
            if is_parallel():
                importlib.import_module("autointerp.stages.train").dismiss_followers()
            continue
        put_back(layout.root)
        asked = _processes(stage, config) if engine is None and not objects else nullcontext(engine)
        with asked as asking:
            if asking is not None and stage in ASKING and not _needs_all(stage, config):
                _ask_in_shards(stage, config, layout, asking, progress)
                manifest = Manifest(layout, read_manifest(layout))
                continue
        given = {"objects": objects, "engine": engine} if stage in ENCODING else {}
        facts = _load(stage, progress)(config, layout, progress, **given)
        finish_stage(manifest, layout, stage, facts, dictionaries=_names(config))
        release_memory()
    return layout


def _processes(stage: str, config: Config) -> AbstractContextManager[Engine | None]:
    """Processes of this machine for a judge that keeps a processor busy, where the config leaves that open."""
    if (
        stage not in ASKING
        or config.engine.workers is not None
        or {*_specs(stage, apply_preset(config))} != {"pattern"}
    ):
        return nullcontext()
    n_each = config.harvest.n_features
    n_features = len(_names(config)) * (FEATURES_PER_PROCESS * MOST_PROCESSES if n_each == "all" else n_each)
    n_processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    n = min(n_processors, n_features // FEATURES_PER_PROCESS, MOST_PROCESSES)
    return open_engine(EngineConfig(workers=n)) if n > 1 else nullcontext()


def _gather(layout: RunLayout) -> None:
    with shards_brought(layout.root):
        gather_shards(layout)


def _needs_all(stage: str, config: Config) -> bool:
    """Whether one process must see all features."""
    return stage == "score" and config.score.sequential is not None


def _ask_in_shards(stage: str, config: Config, layout: RunLayout, engine: Engine, progress: Progress) -> None:
    """One asking stage by the engine's workers, a shard each, under the run's ceilings; then their journals merged."""
    has_begun = layout.journal.is_file()
    with read_journal(layout.journal) if has_begun else nullcontext() as journal:
        budget = budget_of(config, journal)
    usd, n_requests = (math.inf if most is None else float(most) for most in (budget.max_usd, budget.max_requests))
    desk = Desk(engine.n_workers, usd=usd - budget.spent_usd, n_requests=n_requests - budget.n_requests)
    place = address_of(layout.root, is_elsewhere=engine.is_elsewhere)
    parts = [(render_config(config), place, stage)] * engine.n_workers
    on_gpu = any(is_in_process(spec) for spec in _specs(stage, apply_preset(config)))
    spread(engine, ask_shard, parts, label=stage, unit="features", progress=progress, desk=desk, on_gpu=on_gpu)
    _gather(layout)


def _specs(stage: str, config: Config) -> Sequence[str]:
    return config.score.judges if stage == "score" else [config.explain.judge]


def ask_shard(share: Share, config: str, place: str | Path, stage: str) -> None:
    """A worker's task: one stage of its shard of the run at `place`."""
    shard = Shard(count=share.n, number=share.index + 1)
    tree = parse_config(tomllib.loads(config))
    run_shard(tree, out=open_part(place, shard), shard=shard, last=stage, progress=FarProgress(share), share=share)


def run_shard(
    config: Config,
    *,
    out: Path,
    shard: Shard,
    first: str | None = None,
    last: str = "score",
    progress: Progress | None = None,
    share: Share | None = None,
) -> RunLayout:
    """Explain and score one shard of the features of the harvested run in `out`, in a folder of its own.

    `share`: of the worker that does it, where ceilings are for all workers together.

    Raises as `run`, and RunStopped when it cannot score for lack of what other shards explain.
    """
    for option, stage in (("--from", first or "explain"), ("--until", last)):
        if stage in STAGES and stage not in ASKING:
            raise ConfigError(f"{option} {stage} with --shard: shards divide the stages explain and score only")
    layout, whole = RunLayout(out, shard=shard), RunLayout(out)
    wanted = [stage for stage in _between(first or "explain", last) if stage in ASKING]
    with RunLock(layout.lock, noun=f"shard {shard} of run"):
        manifest = open_shard(layout, config)
        check_judges(apply_preset(config), layout)
        refuse_unfit(config, layout)
        progress = LoggedProgress(progress or SilentProgress(), layout)
        _take_back(manifest, layout, wanted, first=first)
        for stage in wanted:
            if stage in read_manifest(whole)["stages"]:
                progress.say(f"{stage}: done before, for all shards")
            elif manifest.is_done(stage):
                progress.say(f"{stage}: done before")
            else:
                facts = _load(stage, progress)(config, layout, progress, ask=partial(ask_with, share=share))
                finish_stage(manifest, layout, stage, facts, dictionaries=_names(config))
    return layout


def _take_back(manifest: Manifest, layout: RunLayout, wanted: Sequence[str], *, first: str | None) -> None:
    """Forget the stages to be done again, after the journal of those before is checked."""
    kept = STAGES if first is None else STAGES[: STAGES.index(first)]
    if any(stage in ASKING and not (stage in kept and manifest.is_done(stage)) for stage in wanted):
        require_journal(layout, stages=kept)
    if first is not None:
        manifest.drop("shards")
        manifest.forget(*STAGES[STAGES.index(first) :])
    if first in STAGES and ASKING.difference(kept):
        manifest.drop("replies")


def rescore(
    source: Path, config: Config, *, out: Path, last: str = STAGES[-1], progress: Progress | None = None
) -> RunLayout:
    """Explain and score the evidence of an old run under another config, in another directory, without torch.

    The config may name fewer dictionaries and fewer features (`harvest.n_features`). Raises ArtefactError when `source`
    has no evidence, ConfigError when the config asks for other evidence.
    """
    old, new = RunLayout(source), RunLayout(out)
    if old.root.resolve() == new.root.resolve():
        raise ConfigError(f"--out {out} is the run whose evidence is used; choose another directory")
    _require_same_evidence(load_run_config(old), config, source)
    names = _names(config)
    files = [old.evidence_file(name) for name in names]
    files += [old.quality(name) for name in names if is_measured(old, name)]
    require_files(old, *files)
    wanted = _between("harvest", last)
    todo = [stage for stage in _undone(new, wanted) if stage not in ENCODING]
    _check_judges(config, new, todo, progress=progress)
    with RunLock(new.lock):
        manifest = open_run(new, config)
        if not manifest.is_done("harvest"):
            for file in files:
                _copy(file, new.root / file.relative_to(old.root))
            if config.harvest.n_features != "all":
                for name in names:
                    keep_features(new.evidence_file(name), config.harvest.n_features, dictionary=name)
            for stage in ("train", "harvest"):
                finish_stage(manifest, new, stage, {"taken_from": old.root.name}, dictionaries=names)
        with open_engine(config.engine) as engine:
            return _advance(config, new, wanted, engine, progress=progress)


def _require_same_evidence(old: Config, new: Config, source: Path) -> None:
    n_there, n_wanted = old.harvest.n_features, new.harvest.n_features
    if n_there != n_wanted and n_there != "all" and (n_wanted == "all" or n_wanted > n_there):
        raise ConfigError(f"harvest.n_features = {n_wanted}: the evidence of {source} has {n_there} per dictionary")
    kept = {entry.name for entry in new.dictionaries}
    wanted = {
        **{section: getattr(old, section) for section in ("subject", "corpus", "train")},
        "harvest": old.harvest.model_copy(update={"n_features": n_wanted}),
        "dictionaries": tuple(entry for entry in old.dictionaries if entry.name in kept),
    }
    for difference in differing_keys(new.model_copy(update=wanted), new):
        raise ConfigError(
            f"{difference}: the evidence of {source} was made otherwise and is not made anew here; leave the setting "
            "out, or make a run of its own with `autointerp run`"
        )


def _copy(source: Path, target: Path) -> None:
    write_atomically(target, lambda temporary: shutil.copyfile(source, temporary))


def _check_judges(
    config: Config, layout: RunLayout, todo: Sequence[str], *, is_fresh: bool = False, progress: Progress | None = None
) -> None:
    """Check the judges before anything is deleted or trained."""
    config, asking = apply_preset(config), ASKING.intersection(todo)
    if todo:
        check_settings(config)
    if not asking:
        return
    check_judges(config, layout)
    if "score" in asking:
        refuse_unfit(config, layout)
    if ENCODING.intersection(todo) and not is_locked(layout.lock):
        greet_judges(config, layout, asking, is_fresh=is_fresh, progress=progress or SilentProgress())


def _undone(layout: RunLayout, wanted: Sequence[str], first: str | None = None, fresh: bool = False) -> list[str]:
    """The stages that will be run."""
    if fresh or not layout.is_run():
        return list(wanted)
    done = read_manifest(layout)["stages"]
    again = STAGES[STAGES.index(first) :] if first is not None else ()
    return [stage for stage in wanted if stage in again or stage not in done]


def _between(first: str, last: str) -> Sequence[str]:
    for option, stage in (("--from", first), ("--until", last)):
        if stage not in STAGES:
            raise ConfigError(f"{option} {stage}: no such stage; the stages are {', '.join(STAGES)}")
    start, end = STAGES.index(first), STAGES.index(last)
    if start > end:
        raise ConfigError(f"--from {first} comes after --until {last}; exchange them")
    return STAGES[: end + 1]


def _require_done(layout: RunLayout, stages: Sequence[str]) -> None:
    done = read_manifest(layout)["stages"]
    for stage in stages:
        if stage not in done:
            raise ConfigError(f"the stage '{stage}' of {layout.root} is not finished; {layout.go_on()} goes on with it")


def _names(config: Config) -> list[str]:
    return [entry.name for entry in config.every_dictionary]


def _load(name: str, progress: Progress) -> Stage:
    with progress.bar(f"{name}: load packages"):
        return _stage(name)


def _stage(name: str) -> Stage:
    """The stage's function `(config, layout, progress) -> facts for the manifest`; ENCODING ones take `objects`."""
    with needs_tensor_half(f"the stage '{name}'"):
        # imported when it runs: the last three stages work without torch
        return importlib.import_module(f"autointerp.stages.{name}").run
