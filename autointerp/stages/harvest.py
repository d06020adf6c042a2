"""Stage 2: the evidence about a sample of every dictionary's live features, one table per dictionary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autointerp.config.loading import render_config
from autointerp.config.tree import Config
from autointerp.engine.engine import Engine
from autointerp.harvest.evidence import LoadedDictionary, Need, harvest
from autointerp.harvest.passes import limits_of
from autointerp.harvest.pinning import choose_prompts, pin_features
from autointerp.progress import Progress
from autointerp.records.document import Role
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_file import write_evidence
from autointerp.runs.digests import dictionary_files, require_files
from autointerp.runs.layout import RunLayout
from autointerp.runs.remote import address_of
from autointerp.score.presets import apply_preset
from autointerp.score.sampling import MIN_WINDOWS
from autointerp.stages.harvest_parts import SpreadPasses
from autointerp.stages.kept_activations import evidence_subject, forget_activations
from autointerp.stages.objects import Objects
from autointerp.stages.run_dictionaries import open_dictionaries
from autointerp.stages.workbench import Workbench, open_workbench
from autointerp.subject.sinks import iter_without_sinks
from autointerp.subject.tokens import TokenText

__all__ = ["needs_of", "run"]


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
    passes = None
    if engine is not None:
        place = address_of(layout.root, is_elsewhere=engine.is_elsewhere)
        passes = SpreadPasses(engine, render_config(config), place, progress)
    config = apply_preset(config)
    require_files(layout, *(file for entry in config.every_dictionary for file in dictionary_files(layout, entry.name)))
    with progress.bar(f"load subject {Path(config.subject.model).name}"):
        bench = open_workbench(config, objects)
    dictionaries = open_dictionaries(bench, layout, objects=objects)
    evidences = harvest(
        evidence_subject(bench, layout, {each.point for each in dictionaries.values()}, progress),
        dictionaries,
        bench.iter_evidence,
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
