"""The shards of a run brought together; merging twice changes nothing, and the order does not matter."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.config.loading import differing_keys, load_config
from autointerp.config.tree import Config
from autointerp.errors import ArtefactError, ConfigError
from autointerp.runs.digests import require_journal, unsealed_journal
from autointerp.runs.journal import read_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.manifest import Manifest, load_run_config, read_manifest
from autointerp.runs.merging import forget_derived, merge_journal
from autointerp.runs.shard_run import evidence_hashes, require_same_evidence
from autointerp.runs.shards import Shard, parse_shard

__all__ = ["Merge", "gather_shards", "merge_runs"]

STAGES = ("explain", "score")
_TABLES = {"explain": "explanations", "score": "verdicts"}
_NOTE = "shards"


@dataclass(frozen=True, slots=True)
class Merge:
    sources: tuple[Path, ...]
    # rows of the journal that are new or changed
    n_changed: int
    # stages that are done for the whole run
    done: tuple[str, ...]
    # shards that are still to come, by stage
    missing: Mapping[str, tuple[Shard, ...]]


def merge_runs(root: Path, others: Sequence[Path] = (), *, is_anew: bool = False) -> Merge:
    """Add the journals of the shards below `root` and of the run folders `others` to the journal of the run.

    `is_anew` drops what was merged before but replies. Raises ConfigError for a folder that is no run, holds no shard
    or has another config or prompt, ArtefactError for other evidence, a contradiction or a merge under way.
    """
    run = RunLayout(root)
    if not run.is_run():
        raise ConfigError(f"{root} is no run: it has no {run.manifest.name}; name the folder the shards were made in")
    with RunLock(run.lock):
        return _merge(run, _find_sources(run, others), is_anew=is_anew)


def gather_shards(run: RunLayout) -> None:
    """Merge the shards below a run whose lock is held, and remove them: nothing in them is asked for again.

    Raises as `merge_runs`, and ArtefactError for a shard at work.
    """
    shards = run.find_shards()
    if not shards:
        return
    with ExitStack() as held:
        for shard in shards:
            held.enter_context(RunLock(shard.lock, noun=f"shard {shard.shard} of run"))
        _merge(run, shards)
        shutil.rmtree(run.shards)


def _merge(run: RunLayout, sources: Sequence[RunLayout], *, is_anew: bool = False) -> Merge:
    config = load_run_config(run)
    evidence = evidence_hashes(run, config)
    for source in sources:
        _require_same(source, run, config, evidence)
        require_journal(source)
    manifest = Manifest(run, read_manifest(run))
    stale = _stale_stages(manifest, evidence, is_anew=is_anew)
    require_journal(run, stages=[stage for stage in STAGES if stage not in stale])
    _require_one_prompt(sources if stale else [run, *sources])
    with unsealed_journal(manifest, run):
        if stale and run.journal.is_file():
            forget_derived(run.journal, [_TABLES[stage] for stage in stale])
            manifest.forget(*stale, "report")
        is_current = manifest.noted(_NOTE).get("evidence") == evidence and not is_anew
        merged: dict[str, dict[str, Any]] = manifest.noted(_NOTE).get("done", {}) if is_current else {}
        n_changed = merge_journal(run.journal, *(s.journal for s in sources if s.journal.is_file()))
        for source in sources:
            merged.setdefault(str(source.shard), {}).update(_facts(source))
        if n_changed:
            manifest.forget("report")
        note = {"evidence": evidence, "done": merged}
        if manifest.noted(_NOTE) != note:
            manifest.note(_NOTE, note)
        missing = {stage: _finish(manifest, stage, merged) for stage in STAGES}
    return Merge(
        sources=tuple(source.journal.parent for source in sources),
        n_changed=n_changed,
        done=tuple(stage for stage in STAGES if manifest.is_done(stage)),
        missing={stage: shards for stage, shards in missing.items() if shards},
    )


def _find_sources(run: RunLayout, others: Sequence[Path]) -> list[RunLayout]:
    sources = run.find_shards()
    for other in others:
        if other.resolve() == run.root.resolve():
            continue
        shards = RunLayout(other).find_shards()
        if not shards:
            raise ConfigError(f"{other} holds no shard of a run (shards/I-of-N); name folders given to --out")
        sources += shards
    if not sources:
        raise ConfigError(f"{run.root} holds no shard: start some with `autointerp run CONFIG --shard 1/2`, ...")
    return sources


def _require_same(source: RunLayout, run: RunLayout, config: Config, evidence: Mapping[str, str]) -> None:
    if source.root != run.root:
        if not source.config.is_file():
            raise ArtefactError(f"{source.config} is missing; copy the whole folder of the run")
        free = {"limits": config.limits, "engine": config.engine, "name": config.name, "device": config.device}
        differing = differing_keys(load_config(source.config).model_copy(update=free), config)
        if differing:
            raise ConfigError(
                f"{source.root} was made with another config than {run.root}; differing: {'; '.join(differing)}. "
                "Shards of one run share one config"
            )
    hashes = read_manifest(source).get("evidence", {})
    require_same_evidence(hashes, evidence, source.manifest.parent, run.root)


def _require_one_prompt(sources: Sequence[RunLayout]) -> None:
    """Every explainer and scorer has one judge and one prompt over all sources."""
    seen: dict[tuple[str, str], tuple[tuple[str, str], Path]] = {}
    for source in sources:
        if not source.journal.is_file():
            continue
        with read_journal(source.journal) as journal:
            prompts = journal.load_prompts()
        for kind, name, judge, prompt in prompts:
            known, where = seen.setdefault((kind, name), ((judge, prompt), source.journal.parent))
            if known != (judge, prompt):
                what = "prompt" if known[0] == judge else "judge"
                values = (known[1], prompt) if known[0] == judge else (known[0], judge)
                raise ConfigError(
                    f"{kind} '{name}' has another {what} in {source.journal.parent} ({values[1]}) than in {where} "
                    f"({values[0]}); run those shards again with the same prompt files, or leave them out"
                )


def _stale_stages(manifest: Manifest, evidence: Mapping[str, str], *, is_anew: bool) -> list[str]:
    """Stages whose results are of an interrupted run or an older harvest; with `is_anew` also merged ones."""
    note = manifest.noted(_NOTE)
    if note.get("evidence") == evidence and not is_anew:
        return []
    return [stage for stage in STAGES if not manifest.is_done(stage) or (is_anew and _is_merged(note, stage))]


def _is_merged(note: Mapping[str, Any], stage: str) -> bool:
    return any(stage in facts for facts in note.get("done", {}).values())


def _facts(source: RunLayout) -> dict[str, Any]:
    stages = read_manifest(source)["stages"]
    return {stage: {k: v for k, v in stages[stage].items() if k != "journal"} for stage in STAGES if stage in stages}


def _finish(manifest: Manifest, stage: str, merged: Mapping[str, Mapping[str, Any]]) -> tuple[Shard, ...]:
    """Mark the stage as done when all shards of one division are; else its missing shards."""
    by_count: dict[int, dict[int, Any]] = {}
    for name, facts in merged.items():
        shard = parse_shard(name)
        done = by_count.setdefault(shard.count, {})
        if stage in facts:
            done[shard.number] = facts[stage]
    complete = [done for count, done in sorted(by_count.items()) if len(done) == count]
    if complete:
        facts = _add_up([complete[0][number] for number in sorted(complete[0])])
        if manifest.facts(stage) != facts:
            manifest.finish(stage, facts)
    if manifest.is_done(stage) or not by_count:
        return ()
    # the division that is furthest
    count, done = max(by_count.items(), key=lambda item: (len(item[1]) / item[0], item[0]))
    return tuple(Shard(count=count, number=number) for number in range(1, count + 1) if number not in done)


def _add_up(facts: Sequence[Any]) -> Any:
    """Counts summed, other facts as the first shard states them."""
    first = facts[0]
    if isinstance(first, dict):
        keys = list(dict.fromkeys(key for one in facts for key in one))
        return {key: _add_up([one[key] for one in facts if key in one]) for key in keys}
    if isinstance(first, int | float) and not isinstance(first, bool):
        return sum(facts)
    return first
