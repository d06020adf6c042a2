"""The harvest: evidence about a sample of each dictionary's live features, from two passes over the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch

from autointerp.config.tree import HarvestConfig
from autointerp.harvest.contexts import ContextCollector
from autointerp.harvest.effects import HasLogitEffects, find_effects
from autointerp.harvest.passes import (
    Harvest,
    LoadedDictionary,
    OpenBatches,
    OwnPasses,
    Passes,
    ReadableSubject,
    plan_windows,
)
from autointerp.harvest.predictability import context_predictability
from autointerp.harvest.selection import select_windows
from autointerp.harvest.statistics import ROLES, FeatureStatistics
from autointerp.harvest.windows import WindowCollector
from autointerp.progress import Progress, SilentProgress
from autointerp.records.document import Role
from autointerp.records.evidence import Evidence, FiringRule, TokenEffect, TokenUse
from autointerp.records.window import ACTIVATING, Window
from autointerp.seeds import stream
from autointerp.subject.tokens import TokenText
from sae_core.ultralow import find_ultralow

__all__ = ["HarvestSubject", "LoadedDictionary", "Need", "build_evidence", "counted_evidence", "harvest"]

N_TOKEN_USES = 100


@dataclass(frozen=True, slots=True)
class Need:
    """Activating and random silent windows of one role that a feature needs to be scored."""

    n_positive: int = 1
    n_negative: int = 1


@runtime_checkable
class HarvestSubject(ReadableSubject, HasLogitEffects, Protocol):
    """What the harvest needs of a subject."""


def harvest(
    subject: HarvestSubject,
    dictionaries: Mapping[str, LoadedDictionary],
    open_batches: OpenBatches,
    config: HarvestConfig,
    *,
    text: TokenText,
    seed: int,
    needs: Mapping[Role, Need] | None = None,
    n_tokens: int | None = None,
    progress: Progress | None = None,
    passes: Passes | None = None,
) -> dict[str, list[Evidence]]:
    """Evidence about a seeded sample of each dictionary's live features, ordered by feature.

    `text` is padded to the subject's `vocab_size`. Features with fewer windows than `needs` stay, as unscored.
    `n_tokens`: most tokens of the text, for the time left. `passes`: others who read the text. Raises SubjectError for
    a site the subject lacks, WidthMismatchError.
    """
    shown = progress or SilentProgress()
    passes = passes or OwnPasses(subject, dictionaries, open_batches, config, seed, shown, n_tokens)
    statistics = passes.statistics()
    with shown.bar("harvest: choose features"):
        plans = {
            name: plan_windows(name, counts, config, loaded=dictionaries[name]) for name, counts in statistics.items()
        }
    for name, counts in statistics.items():
        if warning := _about_drawn(plans[name].features, counts):
            shown.say(f"warning: {name}: {warning}")
    n_read = max((int(counts.n_tokens.sum()) for counts in statistics.values()), default=None)
    harvests = passes.windows(plans, n_tokens=n_read)
    evidence: dict[str, list[Evidence]] = {}
    n_features = sum(len(plan.features) for plan in plans.values())
    with shown.bar("harvest: evidence", total=n_features, unit="features") as bar:
        for name, loaded in dictionaries.items():
            collected = harvests.pop(name)
            evidence[name] = build_evidence(
                subject, loaded, statistics[name], collected, config, name=name, text=text, needs=needs
            )
            bar.update(sum(map(len, evidence.values())))
            if n_repeated := collected.windows.n_repeated:
                shown.say(f"{name}: {n_repeated:,} windows left out, which repeat a passage of the other role")
    return evidence


def build_evidence(
    subject: HasLogitEffects,
    loaded: LoadedDictionary,
    statistics: FeatureStatistics,
    collected: Harvest,
    config: HarvestConfig,
    *,
    name: str,
    text: TokenText,
    needs: Mapping[Role, Need] | None = None,
) -> list[Evidence]:
    """The records of one dictionary from the merged parts of all shards."""
    features = collected.windows.plan.features
    if not len(features):
        return []
    chosen = torch.from_numpy(features)
    directions = loaded.dictionary.directions.detach()[chosen.to(loaded.dictionary.directions.device)]
    directions = directions * loaded.rules.sign[chosen][:, None].to(directions)
    effects = find_effects(subject, loaded.written, directions, n_logits=config.n_logits, text=text)
    neurons = collected.neurons.best()
    near = collected.windows.plan.neighbours or ((),) * len(features)
    totals = statistics.tokens.totals

    def seen(effects: Sequence[TokenEffect]) -> tuple[TokenEffect, ...]:
        return tuple(replace(effect, n_seen=int(totals[effect.token_id])) for effect in effects)

    rows = counted_evidence(
        collected.windows,
        statistics,
        places=features.tolist(),
        contexts=collected.contexts,
        site=str(loaded.point),
        rule=loaded.rules.rule,
        config=config,
        text=text,
        needs=needs,
    )
    return [
        replace(row, top_logits=seen(top), bottom_logits=seen(bottom), neuron=neuron, neighbours=neighbours)
        for row, (top, bottom), neuron, neighbours in zip(rows, effects, neurons, near, strict=True)
    ]


def counted_evidence(
    collected: WindowCollector,
    statistics: FeatureStatistics,
    *,
    places: Sequence[int],
    contexts: ContextCollector | None,
    site: str,
    rule: Callable[[int], FiringRule],
    config: HarvestConfig,
    text: TokenText,
    needs: Mapping[Role, Need] | None = None,
) -> list[Evidence]:
    """The records without logit effects, neurons and neighbours. places: where `statistics` counts each feature of the
    plan.
    """
    name, features = collected.plan.dictionary, collected.plan.features.tolist()
    windows = select_windows(collected, config, text=text)
    samples = None if contexts is None else contexts.occurrences()
    drawn_from = collected.counts()
    wanted: Mapping[Role, Need] = {role: Need() for role in ROLES} if needs is None else needs
    rows = []
    for number, (feature, place) in enumerate(zip(features, places, strict=True)):
        _assert_disjoint(windows[number])
        edges, counts = statistics.histogram_of(place)
        rng = stream(feature, "context", name)
        rows.append(
            Evidence(
                dictionary=name,
                feature=feature,
                site=site,
                rule=rule(feature),
                n_tokens=int(statistics.n_tokens.sum()),
                n_firing=int(statistics.n_firing[:, place].sum()),
                density=statistics.density(place),
                max_activation=float(statistics.maximum[:, place].max()),
                histogram_edges=edges,
                histogram_counts=counts,
                windows=windows[number],
                top_logits=(),
                bottom_logits=(),
                token_uses=_token_uses(statistics, place, text),
                neuron=None,
                context=None if samples is None else context_predictability(*samples[number], rng=rng),
                unscored=_unscored(windows[number], wanted),
                counts=drawn_from[number],
            )
        )
    return rows


def _about_drawn(features: np.ndarray, statistics: FeatureStatistics) -> str | None:
    """What to say where most features drawn are of an ultralow-density cluster."""
    densities = statistics.densities
    cluster = find_ultralow(torch.from_numpy(densities))
    if cluster is None or not len(features):
        return None
    n = int((densities[features] < cluster.limit).sum())
    if n <= len(features) / 2:
        return None
    return (
        f"{n} of the {len(features)} features drawn are of an ultralow-density cluster (fire on less than "
        f"{cluster.limit:.2g} of the tokens, as {cluster.live_frac:.0%} of the live features): harvest.density = "
        f"[{cluster.limit:.2g}, 1.0] draws others"
    )


def _token_uses(statistics: FeatureStatistics, feature: int, text: TokenText) -> tuple[TokenUse, ...]:
    top = statistics.tokens.top(feature, N_TOKEN_USES)
    return tuple(TokenUse(token, text.display(token), n_firing, n) for token, n_firing, n in top)


def _unscored(
    windows: tuple[Window, ...], needs: Mapping[Role, Need]
) -> Literal["too_few_positives", "too_few_negatives"] | None:
    """Why a feature cannot be scored, positives first; None when every role has enough."""
    for role, need in needs.items():
        if sum(w.role == role and w.kind in ACTIVATING for w in windows) < need.n_positive:
            return "too_few_positives"
    for role, need in needs.items():
        if sum(w.role == role and w.kind == "random" for w in windows) < need.n_negative:
            return "too_few_negatives"
    return None


def _assert_disjoint(windows: tuple[Window, ...]) -> None:
    if len({window.id for window in windows}) < len(windows):
        raise AssertionError("a window was kept twice")
    explain, score = ({w.document for w in windows if w.role == role} for role in ROLES)
    if explain & score:
        raise AssertionError(f"document {sorted(explain & score)[0]!r} serves both explain and score")
