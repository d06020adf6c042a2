"""Stage 1: the dictionaries of a run trained on its subject's activations, their firing rules fitted, both measured.

All dictionaries are trained in one pass of the subject; a stage that was killed goes on from its last state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autointerp.config.dictionary_entry import DERIVED_KINDS, READY_KINDS, DictionaryEntry, takes
from autointerp.config.sites import SitePoint
from autointerp.config.tree import Config
from autointerp.engine.engine import Engine
from autointerp.errors import SubjectError
from autointerp.harvest.firing import FiringRules
from autointerp.progress import Progress, SilentProgress
from autointerp.runs.layout import RunLayout
from autointerp.seeds import derive
from autointerp.stages.dictionary_quality import measure_dictionaries
from autointerp.stages.objects import Objects
from autointerp.stages.ready_dictionaries import ReadyDictionary, open_ready
from autointerp.stages.site_activations import SiteActivations, open_sites, settle_dtype
from autointerp.stages.site_training import check_ranks, forget_training, train_sites
from autointerp.stages.train_parts import train_in_parts
from autointerp.stages.workbench import Workbench, open_workbench
from sae_core.architectures.inferred import InferredDictionary
from sae_core.architectures.shuffled import ShuffledDictionary
from sae_core.build import FITTED_KINDS
from sae_core.checkpoint import save_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.dictionary import Dictionary
from sae_core.distributed import open_ranks
from sae_core.firing import draw_densities, firing_densities, fit_thresholds, live_densities
from sae_core.randomness import generator
from sae_core.training.cohort import Configs, TrainedDictionary
from sae_core.training.history import write_history
from sae_core.training.loop import train_dictionaries

__all__ = ["dismiss_followers", "run"]

# share of tokens a dense coordinate fires on where neither a density nor a dictionary to match is given
DEFAULT_DENSITY = 0.01


def run(
    config: Config,
    layout: RunLayout,
    progress: Progress,
    *,
    objects: Objects | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Train, fit and measure every dictionary of the config; returns the facts for the manifest.

    An engine's workers train, each some of the dictionaries. Of several torchrun processes all train; the first one
    does the rest.
    """
    start = time.monotonic()
    with open_ranks() as ranks:
        if not ranks.least(1)[0]:
            return {}  # the first process found the stage done
        check_ranks(config.train.batch_tokens, ranks)
        with progress.bar(f"load subject {Path(config.subject.model).name}"):
            bench = open_workbench(config, objects)
            # before hours of training
            bench.require_evidence_text()
        progress.say(f"subject {bench.subject.name}: {bench.subject.n_layers} layer(s), on {bench.subject.device}")
        if bench.corpus.n_copies:
            progress.say(f"corpus: near copies of other documents left out: {bench.corpus.n_copies:,}")
        ready = _open_ready_ones(bench, objects or {}, progress if ranks.is_first else SilentProgress())
        points: dict[SitePoint, list[DictionaryEntry]] = {}
        for entry in config.every_dictionary:
            points.setdefault(bench.point(entry), []).append(entry)
        origin = {"subject_hash": bench.subject.content_hash(), "corpus_hash": bench.corpus.content_hash()}
        settle_dtype(bench, list(points), progress)
        written = [bench.out_point(entry, ready[entry.name].dictionary) for entry in _ready_entries(bench.config)]
        sites = open_sites(bench, list(points), progress, written=written)
        configs = {point: _configs(entries, bench, point) for point, entries in points.items()}
        streamed = {point: both for point, each in configs.items() if (both := _streamed(each))}
        if engine is None or ranks.n > 1:
            trained = train_sites(sites, streamed, layout, progress, origin=origin, ranks=ranks)
        else:
            trained = train_in_parts(engine, bench, sites, streamed, layout, progress, origin=origin)
    if not ranks.is_first:
        return {}
    dictionaries: dict[str, Dictionary] = {}
    n_tokens = {str(point): 0 for point in points}
    for point, entries in points.items():
        found = trained.get(point, {})
        n_tokens[str(point)] = max((each.n_tokens for each in found.values()), default=0)
        # what is fitted to the site's sample: a batch is too few for components
        sampled = {name: both for name, both in configs[point].items() if name not in found}
        if sampled:
            found = found | train_dictionaries(sampled, [sites[point].sample], device=bench.subject.device)
        dictionaries |= _save(entries, found, ready, bench, layout)
    rules = _fit_rules(bench, dictionaries, sites, progress)
    for entry in config.every_dictionary:
        rules[entry.name].save(layout.dictionary(entry.name))
    for site in sites.values():
        site.samples.forget()
    origins = _shown_origins(config, ready)
    measure_dictionaries(bench, points, dictionaries, rules, layout, progress, sites=sites, origins=origins)
    forget_training(layout)
    return {
        **origin,
        "device": str(bench.subject.device),
        "dtype": str(bench.subject.dtype).removeprefix("torch."),
        "training_tokens": n_tokens,
        "seconds": round(time.monotonic() - start, 1),
    }


def _shown_origins(config: Config, ready: Mapping[str, ReadyDictionary]) -> dict[str, dict[str, Any]]:
    sources = {entry.name: ready.get(entry.of or entry.name) for entry in config.every_dictionary}
    return {name: source.origin.shown(forced=source.forced) for name, source in sources.items() if source is not None}


def dismiss_followers() -> None:
    """Release the processes that wait to help with a training that is already done."""
    with open_ranks() as ranks:
        ranks.least(0)


def _configs(entries: Sequence[DictionaryEntry], bench: Workbench, point: SitePoint) -> Configs:
    """What has to be made at one site."""
    width = bench.subject.width(point)
    return {
        entry.name: (_dictionary_config(entry, width, bench.config), _training_config(entry, bench.config))
        for entry in entries
        if entry.kind not in READY_KINDS | DERIVED_KINDS
    }


def _streamed(configs: Configs) -> Configs:
    """Those that read the stream of activations, with what is built beside them; empty where none is trained."""
    streamed = {name: both for name, both in configs.items() if both[0].kind not in FITTED_KINDS}
    return streamed if any(config.is_trained for config, _ in streamed.values()) else {}


def _save(
    entries: Sequence[DictionaryEntry],
    trained: Mapping[str, TrainedDictionary],
    ready: Mapping[str, ReadyDictionary],
    bench: Workbench,
    layout: RunLayout,
) -> dict[str, Dictionary]:
    """Every dictionary of one site, saved."""
    made = {entry.name: ready[entry.name].dictionary for entry in entries if entry.name in ready}
    for name, result in trained.items():
        write_history(result.history, layout.dictionary(name))
        made[name] = result.dictionary
    made |= {
        entry.name: _inferred(entry, made) if entry.kind == "inferred" else _shuffled(entry, made, bench.config)
        for entry in entries
        if entry.kind in DERIVED_KINDS
    }
    for entry in entries:
        metadata = _metadata(bench, bench.point(entry))
        if source := ready.get(entry.of or entry.name):
            metadata["origin"] = source.origin.to_json(forced=source.forced)
        save_dictionary(made[entry.name], layout.dictionary(entry.name), metadata=metadata)
    return made


def _open_ready_ones(bench: Workbench, objects: Objects, progress: Progress) -> dict[str, ReadyDictionary]:
    """Dictionaries that come as they are, opened before anything is trained, so that a misfit is told early."""
    ready = {}
    for entry in _ready_entries(bench.config):
        with progress.bar(f"fetch {entry.release}") if entry.kind == "release" else nullcontext():
            ready[entry.name] = open_ready(entry, bench, objects)
        for warning in ready[entry.name].warnings:
            progress.say(f"warning: {entry.name}: {warning}")
    return ready


def _ready_entries(config: Config) -> list[DictionaryEntry]:
    return [entry for entry in config.every_dictionary if entry.kind in READY_KINDS]


def _inferred(entry: DictionaryEntry, found: dict[str, Dictionary]) -> Dictionary:
    """Codes found by optimisation over the directions of the entry `of`."""
    stated = {key: value for key, value in entry.dictionary_settings.items() if key != "kind"}
    try:
        return InferredDictionary.over(_source(entry, found), **stated)
    except ValueError as error:
        raise SubjectError(f"dictionaries.{entry.name}: {error}") from error


def _shuffled(entry: DictionaryEntry, found: dict[str, Dictionary], config: Config) -> Dictionary:
    try:
        draw = generator(derive(config.seed, "dictionary", entry.name) % 2**31, "shuffled")
        return ShuffledDictionary.over(_source(entry, found), draw=draw)
    except ValueError as error:
        raise SubjectError(f"dictionaries.{entry.name}: {error}") from error


def _source(entry: DictionaryEntry, found: Mapping[str, Dictionary]) -> Dictionary:
    """The dictionary whose directions are read as codes. Raises ValueError for a transcoder."""
    assert entry.of is not None
    if found[entry.of].is_transcoder:
        raise ValueError(f"'{entry.of}' is a transcoder, whose directions do not belong to the site it reads")
    return found[entry.of]


def _fit_rules(
    bench: Workbench,
    dictionaries: dict[str, Dictionary],
    sites: Mapping[SitePoint, SiteActivations],
    progress: Progress,
) -> dict[str, FiringRules]:
    """The firing rule of every dictionary: above 0 for sparse codes, a matched quantile for dense coordinates.

    Says how far a rate fitted to the sample may lie from the rate on other text: 1.96 / sqrt(firings in the sample).
    """
    entries = {entry.name: entry for entry in bench.config.every_dictionary}
    rules = {
        name: FiringRules.above_zero(dictionary.n_features)
        for name, dictionary in dictionaries.items()
        if not dictionary.is_dense or entries[name].fires_above_zero
    }
    # read before the bar, under one of their own
    samples = {name: sites[bench.point(entries[name])].sample for name in dictionaries if name not in rules}
    fitted: dict[str, FiringRules] = {}
    densities: dict[str, Tensor] = {}
    with progress.bar("fit firing rules", total=len(samples), unit="dictionaries") as bar:
        for n_done, (name, sample) in enumerate(samples.items()):
            bar.update(n_done, note=name)
            dictionary, entry = dictionaries[name], entries[name]
            target = torch.full((dictionary.n_features,), entry.density or DEFAULT_DENSITY)
            matched = _matched(entry)
            if matched in rules:
                if matched not in densities:
                    rows = sites[bench.point(entries[matched])].sample
                    densities[matched] = firing_densities(dictionaries[matched], rows)
                # Only features that could be drawn for scoring count as a density to be matched.
                floor = bench.config.harvest.min_firing / bench.config.corpus.evidence_tokens
                live = live_densities(densities[matched].cpu().float(), min_density=floor)
                seed = derive(bench.config.seed, "densities", name)
                target = draw_densities(live, n_features=dictionary.n_features, seed=seed)
            thresholds = fit_thresholds(dictionary, sample, target_density=target)
            fitted[name] = FiringRules.quantile(thresholds, target_density=target)
            rate, n = float(target.median()), len(sample)
            within = 1.96 / math.sqrt(max(1.0, rate * n))
            progress.say(f"{name}: thresholds from {n:,} activations, the median rate {rate:.2%} (±{within:.0%} of it)")
        bar.update(len(samples))
    return rules | fitted


def _matched(entry: DictionaryEntry) -> str | None:
    """The entry whose densities a dense one takes over."""
    return entry.match_density or (entry.of if entry.density is None else None)


def _dictionary_config(entry: DictionaryEntry, width: int, config: Config) -> DictionaryConfig:
    """The entry in sae_core's terms; what it leaves out takes sae_core's default."""
    n_features = entry.n_features or (width if entry.kind in ("identity", "pca", "ica") else 4 * width)
    if entry.kind == "identity" and n_features != width:
        raise SubjectError(
            f"dictionaries.{entry.name}.n_features = {n_features}, but the identity has as many features as the site "
            f"is wide; leave it out or set {width}"
        )
    if entry.kind in ("pca", "ica") and n_features > width:
        raise SubjectError(
            f"dictionaries.{entry.name}.n_features = {n_features}, but activations {width} wide have at most as many "
            "components; lower it or leave it out"
        )
    stated = {**entry.dictionary_settings, "n_features": n_features}
    if takes(entry.kind, "published_decoder_norm", output=entry.dictionary_settings.get("output")):
        stated.setdefault("published_decoder_norm", config.train.published_decoder_norm)
    try:
        return DictionaryConfig(**stated)
    except ValueError as error:
        raise SubjectError(f"dictionaries.{entry.name}.{error}") from error


def _training_config(entry: DictionaryEntry, config: Config) -> TrainingConfig:
    """How the entry is trained: its own settings, then [train]."""
    train, own = config.train, entry.training_settings
    n_steps = max(1, config.corpus.dictionary_tokens // train.batch_tokens)
    every = own.get("resample_every_steps") or train.resample_every_steps or max(1, n_steps // 8)
    of_the_run = {
        "n_tokens": n_steps * train.batch_tokens,  # whole batches: what is left over is not drawn
        "resample_every_steps": every,
        "seed": derive(config.seed, "dictionary", entry.name) % 2**31,
    }
    shared = {"dead_after_tokens": every * train.batch_tokens, **train.stated(TrainingConfig), **of_the_run}
    try:
        return TrainingConfig(**{**shared, **own})
    except ValueError as error:
        raise SubjectError(f"dictionaries.{entry.name}: {error}") from error


def _metadata(bench: Workbench, point: SitePoint) -> dict[str, Any]:
    weights = bench.config.subject.weights
    return {
        "model_name": bench.subject.name,
        "hook_name": point.hook,
        "context_size": bench.config.subject.context_tokens,
        "prepend_bos": bench.subject.bos_id is not None,
        **({} if weights == "trained" else {"subject_weights": weights}),
    }
