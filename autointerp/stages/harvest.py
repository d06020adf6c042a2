"""Stage 2: the evidence about a sample of every dictionary's live features, one table per dictionary."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from autointerp.board.quality_file import load_quality
from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.loading import parse_config, render_config
from autointerp.config.tree import Config
from autointerp.engine.engine import Engine, spread
from autointerp.engine.far_progress import FarProgress
from autointerp.engine.task import Share, Task
from autointerp.harvest.evidence import LoadedDictionary, Need, harvest
from autointerp.harvest.firing import FiringRules
from autointerp.harvest.passes import Harvest, OwnPasses, limits_of
from autointerp.harvest.pinning import choose_prompts, pin_features
from autointerp.harvest.statistics import FeatureStatistics
from autointerp.harvest.windows import Plan
from autointerp.progress import Progress
from autointerp.records.document import Role
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_file import write_evidence
from autointerp.runs.digests import dictionary_files, require_files
from autointerp.runs.layout import RunLayout
from autointerp.score.presets import apply_preset
from autointerp.score.sampling import MIN_WINDOWS
from autointerp.stages.kept_activations import evidence_subject, forget_activations
from autointerp.stages.objects import Objects
from autointerp.stages.ready_dictionaries import reopen
from autointerp.stages.site_activations import keep_dtype
from autointerp.stages.workbench import Workbench, open_workbench
from autointerp.subject.packing import PackedBatch
from autointerp.subject.sinks import NO_LIMIT, iter_without_sinks
from autointerp.subject.tokens import TokenText

__all__ = ["first_pass", "longest_of", "needs_of", "open_dictionaries", "run", "second_pass"]


def run(
    config: Config,
    layout: RunLayout,
    progress: Progress,
    *,
    objects: Objects | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Write `evidence/<name>.parquet` for every dictionary; both passes are done by the engine's workers."""
    start = time.monotonic()
    passes = None if engine is None else SpreadPasses(engine, render_config(config), layout.root.resolve(), progress)
    config = apply_preset(config)
    require_files(layout, *(file for entry in config.every_dictionary for file in dictionary_files(layout, entry.name)))
    with progress.bar(f"load subject {Path(config.subject.model).name}"):
        bench = open_workbench(config, objects)
    dictionaries = open_dictionaries(bench, layout, objects=objects)
    evidences = harvest(
        evidence_subject(bench, layout, {each.point for each in dictionaries.values()}, progress),
        dictionaries,
        lambda: _both_roles(bench),
        config.harvest,
        text=TokenText.of(bench.subject.tokenizer, vocab_size=bench.subject.vocab_size),
        seed=config.seed,
        needs=needs_of(config),
        n_tokens=2 * bench.tokens_per_role,
        progress=progress,
        passes=passes,
    )
    forget_activations(layout)
    for name, evidence in _pinned(evidences, dictionaries, bench, progress).items():
        write_evidence(layout.evidence_file(name), evidence, notes=_notes(config, dictionaries))
        unscored = sum(item.unscored is not None for item in evidence)
        wanted = config.harvest.n_features
        note = f", {unscored} of them cannot be scored" if unscored else ""
        progress.say(f"{name}: evidence about {len(evidence)} of {wanted} features{note}")
        if not evidence:
            least, rates = config.harvest.min_firing, config.harvest.density
            within = "" if rates is None else f" at a rate within harvest.density = {list(rates)}"
            progress.say(f"warning: {name}: dead, no feature fires harvest.min_firing = {least} times{within}")
    return {
        "evidence_tokens": {"explain": bench.tokens_per_role, "score": bench.tokens_per_role},
        "n_features": {name: len(evidence) for name, evidence in evidences.items()},
        "seconds": round(time.monotonic() - start, 1),
    }


@dataclass(frozen=True, slots=True)
class SpreadPasses:
    """Both passes by an engine's workers, each a shard of the text: activations stay where they are made."""

    engine: Engine
    config: str
    root: Path
    progress: Progress

    def statistics(self) -> dict[str, FeatureStatistics]:
        return self._merged(first_pass, "harvest: statistics")

    def windows(self, plans: Mapping[str, Plan], *, n_tokens: int | None) -> dict[str, Harvest]:
        return self._merged(second_pass, "harvest: windows", plans, n_tokens)

    def _merged(self, task: Task, label: str, *arguments: Any) -> dict[str, Any]:
        parts = [(self.config, self.root, *arguments)] * self.engine.n_workers
        found = spread(self.engine, task, parts, label=label, unit="tok", progress=self.progress, on_gpu=True)
        for part in found[1:]:
            for name, collected in part.items():
                found[0][name].merge(collected)
        return found[0]


def first_pass(share: Share, config: str, root: Path) -> dict[str, FeatureStatistics]:
    """A worker's task: the statistics of its shard."""
    return _open_passes(share, config, root).statistics()


def second_pass(
    share: Share, config: str, root: Path, plans: Mapping[str, Plan], n_tokens: int | None
) -> dict[str, Harvest]:
    """A worker's task: the windows of its shard."""
    return _open_passes(share, config, root).windows(plans, n_tokens=n_tokens)


def _open_passes(share: Share, config: str, root: Path) -> OwnPasses:
    tree, layout, progress = apply_preset(parse_config(tomllib.loads(config))), RunLayout(root), FarProgress(share)
    bench = open_workbench(tree)
    dictionaries = open_dictionaries(bench, layout)
    return OwnPasses(
        evidence_subject(bench, layout, {each.point for each in dictionaries.values()}, progress),
        dictionaries,
        lambda: _both_roles(bench),
        tree.harvest,
        tree.seed,
        progress,
        2 * bench.tokens_per_role,
        (share.index, share.n),
    )


def open_dictionaries(
    bench: Workbench, layout: RunLayout, *, objects: Objects | None = None
) -> dict[str, LoadedDictionary]:
    """The run's dictionaries as it trained them; the subject takes the number type of their training."""
    keep_dtype(bench.subject, layout)
    return {entry.name: _load(entry, bench, layout, objects) for entry in bench.config.every_dictionary}


def _load(entry: DictionaryEntry, bench: Workbench, layout: RunLayout, objects: Objects | None) -> LoadedDictionary:
    dictionary = reopen(entry, layout, device=bench.subject.device, objects=objects)
    return LoadedDictionary(
        dictionary,
        bench.point(entry),
        FiringRules.load(layout.dictionary(entry.name)),
        longest_of(bench.config, layout, entry.name),
        bench.out_point(entry, dictionary),
    )


def _pinned(
    found: Mapping[str, list[Evidence]],
    dictionaries: Mapping[str, LoadedDictionary],
    bench: Workbench,
    progress: Progress,
) -> dict[str, list[Evidence]]:
    """The evidence with pinned effects, where the config asks for them."""
    config = bench.config.harvest
    if not config.pinned:
        return dict(found)
    limits = limits_of(dictionaries)
    contexts = iter_without_sinks(bench.subject, bench.evidence_batches("explain"), limits)
    prompts = choose_prompts(contexts, config.pinned, context_tokens=bench.config.subject.context_tokens)
    text = TokenText.of(bench.subject.tokenizer, vocab_size=bench.subject.vocab_size)
    pinned: dict[str, list[Evidence]] = {}
    for name, evidence in found.items():
        if dictionaries[name].dictionary.is_cross_layer:
            pinned[name] = evidence
            continue
        pinned[name] = pin_features(
            bench.subject,
            dictionaries[name],
            evidence,
            prompts,
            kl=config.pinned_kl,
            n_logits=config.n_logits,
            text=text,
        )
        progress.say(f"{name}: {len(evidence)} features held high on {config.pinned} prompts")
    return pinned


def longest_of(config: Config, layout: RunLayout, name: str) -> float:
    """The length of an activation beyond which a token is a sink, at the dictionary's site."""
    quality = load_quality(layout, name) if config.subject.sinks == "mask" else None
    return NO_LIMIT if quality is None or quality.sinks is None else quality.sinks.longest


def _notes(config: Config, dictionaries: Mapping[str, LoadedDictionary]) -> dict[str, str]:
    notes = {"packing": config.subject.packing}
    if config.subject.skip_first:
        notes["skip_first"] = str(config.subject.skip_first)
    if limits_of(dictionaries):
        notes["sinks"] = "mask"
    return notes


def needs_of(config: Config) -> dict[Role, Need]:
    """Fewest windows with which a feature can be explained, and scored by any of the scorers."""
    scorers = config.score.scorers
    positives = [min(scorer.n_positive, MIN_WINDOWS) for scorer in scorers]
    # windows lent by other features are not the feature's own
    negatives = [min(s.counted_negatives.random, MIN_WINDOWS) for s in scorers]
    return {
        "explain": Need(n_positive=1, n_negative=0),
        "score": Need(n_positive=min(positives, default=1), n_negative=min(negatives, default=0)),
    }


def _both_roles(bench: Workbench) -> Iterator[PackedBatch]:
    return chain(bench.evidence_batches("explain"), bench.evidence_batches("score"))
