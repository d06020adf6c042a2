"""The two passes over the text: one forward of the subject serves all dictionaries of all sites.

Shard (i, n) reads every n-th batch from the i-th on; merged shards equal one whole pass. Pass 2 needs the statistics of
ALL shards of pass 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.config.tree import HarvestConfig
from autointerp.errors import SubjectError
from autointerp.harvest.contexts import ContextCollector
from autointerp.harvest.correlation import NeuronCorrelation
from autointerp.harvest.firing import FiringRules, find_firings
from autointerp.harvest.neighbours import find_neighbours
from autointerp.harvest.segments import Placement, TextBatch, token_draws
from autointerp.harvest.statistics import ROLES, FeatureStatistics, drawing_order
from autointerp.harvest.windows import Plan, WindowCollector
from autointerp.progress import Progress
from autointerp.records.document import Role
from autointerp.subject.packing import PackedBatch
from autointerp.subject.sinks import NO_LIMIT, leave_out
from sae_core.crew import Crew
from sae_core.dictionary import Dictionary

__all__ = [
    "Harvest",
    "LoadedDictionary",
    "OpenBatches",
    "OwnPasses",
    "Passes",
    "ReadableSubject",
    "collect_statistics",
    "collect_windows",
    "limits_of",
    "near_tokens_of",
    "neuron_point",
    "plan_windows",
]

# opens the stream of the roles explain and score anew; it must give the same batches each time
OpenBatches = Callable[[], Iterable[PackedBatch]]

N_NEAR_TOKENS = 10


@runtime_checkable
class ReadableSubject(Protocol):
    @property
    def vocab_size(self) -> int: ...
    def check(self, point: SitePoint) -> None: ...
    def activations(self, tokens: Tensor, points: list[SitePoint]) -> dict[SitePoint, Tensor]: ...


@dataclass(frozen=True, eq=False)
class LoadedDictionary:
    """A dictionary with its site and firing rules."""

    dictionary: Dictionary
    point: SitePoint
    rules: FiringRules
    # a token whose activation is longer is an attention sink and no text
    longest: float = NO_LIMIT
    # where a transcoder writes; None for `point`
    out_point: SitePoint | None = None

    @property
    def written(self) -> SitePoint:
        """The place of the directions."""
        return self.out_point or self.point


@dataclass(eq=False)
class Harvest:
    """What pass 2 collects about one dictionary."""

    windows: WindowCollector
    contexts: ContextCollector
    neurons: NeuronCorrelation

    def merge(self, other: Harvest) -> None:
        self.windows.merge(other.windows)
        self.contexts.merge(other.contexts)
        self.neurons.merge(other.neurons)


@runtime_checkable
class Passes(Protocol):
    """Whoever reads the text twice."""

    def statistics(self) -> dict[str, FeatureStatistics]:
        """Of all shards of pass 1."""
        ...

    def windows(self, plans: Mapping[str, Plan], *, n_tokens: int | None) -> dict[str, Harvest]:
        """Of all shards of pass 2, which reads `n_tokens`."""
        ...


@dataclass(frozen=True, eq=False)
class OwnPasses:
    """This process, for a shard or the whole text, which has `n_tokens` at most."""

    subject: ReadableSubject
    dictionaries: Mapping[str, LoadedDictionary]
    open_batches: OpenBatches
    config: HarvestConfig
    seed: int
    progress: Progress
    n_tokens: int | None = None
    shard: tuple[int, int] = (0, 1)

    def statistics(self) -> dict[str, FeatureStatistics]:
        return collect_statistics(
            self.subject,
            self.dictionaries,
            self.open_batches,
            seed=self.seed,
            shard=self.shard,
            n_tokens=self.n_tokens,
            progress=self.progress,
        )

    def windows(self, plans: Mapping[str, Plan], *, n_tokens: int | None) -> dict[str, Harvest]:
        return collect_windows(
            self.subject,
            self.dictionaries,
            self.open_batches,
            plans=plans,
            config=self.config,
            seed=self.seed,
            shard=self.shard,
            n_tokens=n_tokens,
            progress=self.progress,
        )


def limits_of(dictionaries: Mapping[str, LoadedDictionary]) -> dict[SitePoint, float]:
    """`longest` of every site that has sinks."""
    return {each.point: each.longest for each in dictionaries.values() if each.longest < NO_LIMIT}


def collect_statistics(
    subject: ReadableSubject,
    dictionaries: Mapping[str, LoadedDictionary],
    open_batches: OpenBatches,
    *,
    seed: int,
    shard: tuple[int, int] = (0, 1),
    n_tokens: int | None = None,
    progress: Progress,
) -> dict[str, FeatureStatistics]:
    """Pass 1. `n_tokens`: most tokens over all shards, for the time left.

    Raises SubjectError for a site the subject lacks, WidthMismatchError for a dictionary of another width.
    """
    statistics = {
        name: FeatureStatistics(
            loaded.dictionary.n_features,
            order=drawing_order(seed, name, loaded.dictionary.n_features),
            vocab_size=subject.vocab_size,
        )
        for name, loaded in dictionaries.items()
    }
    crew = _crew(dictionaries)
    read = _read(
        subject, dictionaries, open_batches, "harvest: statistics", shard=shard, n_tokens=n_tokens, progress=progress
    )
    for batch, x in read:
        tokens, draws = batch.tokens[batch.is_text].cpu().numpy(), token_draws(batch, seed=seed)
        add = partial(_add_statistics, x=x, tokens=tokens, role=batch.role, draws=draws)
        crew.run({name: partial(add, statistics[name], loaded) for name, loaded in dictionaries.items()})
    return statistics


def _add_statistics(
    statistics: FeatureStatistics,
    loaded: LoadedDictionary,
    *,
    x: Mapping[SitePoint, Tensor],
    tokens: np.ndarray,
    role: Role,
    draws: np.ndarray,
) -> None:
    firings = find_firings(loaded.dictionary, loaded.rules, x[loaded.point])
    statistics.add(firings, tokens=tokens, role=role, draws=draws)


def plan_windows(
    name: str, statistics: FeatureStatistics, config: HarvestConfig, *, loaded: LoadedDictionary | None = None
) -> Plan:
    """The plan of one dictionary from the statistics of all shards; with neighbours only where `loaded` is given."""
    n = None if config.n_features == "all" else config.n_features
    features = statistics.draw(n, min_firing=config.min_firing, density=config.density)
    low, high = statistics.range(features)
    near_tokens = tuple(near_tokens_of(statistics, int(f)) for f in features)
    if loaded is None:
        return Plan(name, features, low, high, near_tokens)
    directions = loaded.dictionary.directions.detach().float().cpu() * loaded.rules.sign[:, None]
    neighbours = find_neighbours(
        features,
        directions=directions.numpy(),
        is_live=statistics.n_firing.sum(axis=0) >= config.min_firing,
        firings=statistics.together,
    )
    return Plan(name, features, low, high, near_tokens, neighbours, has_neighbour_windows=bool(config.n_neighbour))


def collect_windows(
    subject: ReadableSubject,
    dictionaries: Mapping[str, LoadedDictionary],
    open_batches: OpenBatches,
    *,
    plans: Mapping[str, Plan],
    config: HarvestConfig,
    seed: int,
    shard: tuple[int, int] = (0, 1),
    n_tokens: int | None = None,
    progress: Progress,
) -> dict[str, Harvest]:
    """Pass 2: window candidates and neuron correlations of the sampled features."""
    harvests = {
        name: Harvest(
            WindowCollector(plan, config, seed=seed),
            ContextCollector(plan, seed=seed),
            NeuronCorrelation(len(plan.features), high=plan.high),
        )
        for name, plan in plans.items()
    }
    neurons = {name: neuron_point(subject, loaded.point) for name, loaded in dictionaries.items()}
    gap = Placement.of(config).n_tokens
    sampled = {name: loaded for name, loaded in dictionaries.items() if len(plans[name].features)}
    crew = _crew(sampled)
    read = _read(
        subject,
        dictionaries,
        open_batches,
        "harvest: windows",
        also={point for point in neurons.values() if point is not None},
        shard=shard,
        n_tokens=n_tokens,
        progress=progress,
    )
    for batch, x in read:
        text = TextBatch(batch, seed=seed, gap=gap)
        add = partial(_add_windows, x=x, text=text)
        crew.run(
            {
                name: partial(add, harvests[name], loaded, plans[name], neurons=neurons[name])
                for name, loaded in sampled.items()
            }
        )
    for each in harvests.values():
        each.neurons.to_host()
    return harvests


def _add_windows(
    harvest: Harvest,
    loaded: LoadedDictionary,
    plan: Plan,
    *,
    x: Mapping[SitePoint, Tensor],
    text: TextBatch,
    neurons: SitePoint | None,
) -> None:
    watched = find_firings(loaded.dictionary, loaded.rules, x[loaded.point], features=torch.from_numpy(plan.watched))
    firings = plan.own(watched)
    harvest.windows.add(text, watched)
    harvest.contexts.add(text, firings)
    if neurons is not None and text.role == "explain":
        harvest.neurons.add(firings, x[neurons])


def _crew(dictionaries: Mapping[str, LoadedDictionary]) -> Crew:
    device = next((each.dictionary.directions.device for each in dictionaries.values()), torch.device("cpu"))
    return Crew(len(dictionaries), device)


def _read(
    subject: ReadableSubject,
    dictionaries: Mapping[str, LoadedDictionary],
    open_batches: OpenBatches,
    label: str,
    *,
    also: Set[SitePoint] = frozenset(),
    shard: tuple[int, int],
    n_tokens: int | None,
    progress: Progress,
) -> Iterator[tuple[PackedBatch, dict[SitePoint, Tensor]]]:
    """Batches of the shard with activations at text tokens, [n, d_in] per point of the dictionaries and of `also`."""
    longest = limits_of(dictionaries)
    ordered = sorted({each.point for each in dictionaries.values()} | also, key=str)
    for point in ordered:
        subject.check(point)
    index, n_shards = shard
    n_read = 0
    with progress.bar(label, total=None if n_tokens is None else n_tokens / n_shards, unit="tok") as bar:
        for number, batch in enumerate(open_batches()):
            if batch.role not in ROLES:
                raise ValueError(f"evidence is of the roles {ROLES}, not '{batch.role}'")
            if number % n_shards != index or not batch.n_tokens:
                continue
            activations = subject.activations(batch.tokens, ordered)
            # a sink of one dictionary is no text for any: all have the same text
            kept = leave_out(batch, activations, longest)
            is_text = kept.is_text
            yield kept, {point: x[is_text.to(x.device)] for point, x in activations.items()}
            n_read += batch.n_tokens
            bar.update(n_read)


def neuron_point(subject: ReadableSubject, point: SitePoint) -> SitePoint | None:
    """None where the layer has no MLP."""
    neurons = SitePoint("mlp_post", point.layer)
    try:
        subject.check(neurons)
    except SubjectError:
        return None
    return neurons


def near_tokens_of(statistics: FeatureStatistics, feature: int) -> tuple[int, ...]:
    """Tokens a feature fires on most often, at least twice and twice as often as on the average token."""
    density = statistics.density(feature)
    often = min(2 * density, (1 + density) / 2)
    top = statistics.tokens.top(feature, 10 * N_NEAR_TOKENS)
    chosen = [token for token, n_firing, n in top if n_firing >= 2 and n_firing / max(1, n) >= often]
    return tuple(chosen[:N_NEAR_TOKENS])
