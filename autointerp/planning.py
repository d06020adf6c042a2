"""What a run would ask, read and cost, before anything is loaded or sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Literal

from autointerp.begun_run import BegunRun
from autointerp.config.dictionary_entry import FIXED_KINDS, DictionaryEntry
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.expected_judge import ASSUMED, Assumptions, ExpectedJudge
from autointerp.judges.endpoint.token_counting import TokenCounter
from autointerp.judges.judge import Request
from autointerp.records.verdict import NO_EXPLAINER
from autointerp.rehearsal import (
    needs_explanation,
    rehearse_explaining,
    rehearse_pairs,
    rehearse_scoring,
    window_tokens,
)
from autointerp.score.presets import apply_preset
from autointerp.score.scorer import Unscorable
from autointerp.stats.significance import features_needed, smallest_difference

__all__ = ["ASSUMED", "Assumptions", "Plan", "PlannedStage", "Power", "make_plan"]

_SUM = Literal["n_requests", "n_answered", "input_tokens", "output_tokens", "usd", "usd_max", "seconds"]


# length of an explanation as a scorer is told it: what follows the explainer's thinking
_TOLD_TOKENS = 50


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """What one dictionary asks of one judge: to explain by one explainer, or to score those explanations, controls
    included.

    Numbers are None where the number of features is not known before the subject is loaded.
    """

    dictionary: str
    explainer: str
    # None: explaining
    scorer: str | None
    judge: str
    n_features: int | None
    # at most
    n_requests: int | None
    # already in the run's journal; tokens, usd and seconds are of the rest
    n_answered: int
    input_tokens: int | None
    output_tokens: int | None
    # None also where the judge's price is not known
    usd: float | None
    # for replies as long as max_tokens allows
    usd_max: float | None
    # None also where the judge's pace is not known
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Power:
    """What the number of features can show, two-sided at the 5% level with a power of 80%."""

    n_features: int | None
    # difference in mean F1 that `n_features` per dictionary show
    smallest: float | None
    difference: float | None
    # features per dictionary that `difference` takes, where one was asked
    needed: int | None

    @property
    def is_enough(self) -> bool | None:
        return None if self.needed is None or self.n_features is None else self.n_features >= self.needed


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    stages: tuple[PlannedStage, ...]
    window_tokens: int
    max_concurrent: int
    # read once, for all sites that train
    # read once, for all sites that train
    dictionary_tokens: int
    training_sites: tuple[str, ...]
    # of explain and score roles together, read as often as `assumed` says
    evidence_tokens: int
    power: Power
    assumed: Assumptions
    # what the user should know or mend
    notes: tuple[str, ...]
    # how the judges' tokens were counted
    counted_by: tuple[str, ...] = ()
    # the run whose replies were measured
    measured: str | None = None

    def total(self, column: _SUM) -> float | None:
        """None when a part of it is not known."""
        return _total(self.stages, column)


def make_plan(
    config: Config,
    *,
    difference: float | None = None,
    assumed: Assumptions = ASSUMED,
    begun: BegunRun | None = None,
    tokenizer: TokenCounter | None = None,
) -> Plan:
    """The plan of a config, its preset applied.

    `difference`: one in mean F1 to be shown. `begun`: a run of the config, whose replies are measured. Raises
    ConfigError for a wrong option of a judge, an explainer that cannot be paired with a scorer, or a difference out of
    range, PluginError for an unknown plug-in.
    """
    if difference is not None and not 0.0 < difference <= 1.0:
        raise ConfigError(f"--detect {difference:g}: give a difference in mean F1 above 0 and up to 1, such as 0.05")
    config = apply_preset(config)
    rehearse_pairs(config)
    judges = {
        spec: ExpectedJudge.of(spec, config, begun=begun, tokenizer=tokenizer, assumed=assumed)
        for spec in dict.fromkeys((config.explain.judge, *config.score.judges))
    }
    explaining = judges[config.explain.judge]
    notes = [note for judge in judges.values() for note in judge.notes]
    if begun is not None and begun.differing:
        notes.append(
            f"{begun.place} is of another config ({'; '.join(begun.differing)}): only its pace and price count"
        )
    explained = {e.label or e.name: rehearse_explaining(config, e) for e in config.explain.explainers}
    scored: dict[str, tuple[ExpectedJudge, tuple[Request, ...]]] = {}
    unexplained: dict[str, tuple[ExpectedJudge, tuple[Request, ...]]] = {}
    for settings in config.score.scorers:
        requests = rehearse_scoring(config, settings, explanation_tokens=_TOLD_TOKENS)
        if isinstance(requests, Unscorable):
            notes.append(f"scorer '{settings.name}' can score no feature: {requests.detail}; let [harvest] keep more")
            requests = ()
        found = scored if needs_explanation(config, settings) else unexplained
        found[settings.label or settings.name] = judges[config.score.judge_of(settings)], requests
    if not config.harvest.pinned and _asks_for_outputs(config):
        notes.append("harvest.pinned = 0: nothing is held high, so 'pinned' and 'intervention' have nothing to ask")
    stages: list[PlannedStage] = []
    for entry in config.every_dictionary:
        n = (
            _n_features(config, entry)
            if begun is None
            else begun.n_features.get(entry.name, _n_features(config, entry))
        )
        if n is None:
            notes.append(f"features of '{entry.name}' unknown before the subject is loaded; set its n_features")
        n_asked = None if n is None else n + _n_controls(config, n)
        for explainer, asked in explained.items():
            stages.append(_stage(explaining, entry.name, explainer, None, n, n, asked, assumed))
            stages += [
                _stage(judge, entry.name, explainer, s, n, n_asked, r, assumed) for s, (judge, r) in scored.items()
            ]
        stages += [
            _stage(judge, entry.name, NO_EXPLAINER, s, n, n, r, assumed) for s, (judge, r) in unexplained.items()
        ]
    numbers = [stage.n_features for stage in stages]
    notes += _reached(config, stages)
    return Plan(
        name=config.name,
        stages=tuple(stages),
        window_tokens=window_tokens(config.harvest),
        max_concurrent=min(judge.n_concurrent for judge in judges.values()),
        dictionary_tokens=config.corpus.dictionary_tokens,
        training_sites=_training_sites(config),
        evidence_tokens=config.corpus.evidence_tokens,
        power=_power(None if None in numbers else min(n for n in numbers if n is not None), difference, assumed),
        assumed=assumed,
        notes=tuple(dict.fromkeys(notes)),
        counted_by=tuple(dict.fromkeys(judge.counted_by(assumed) for judge in judges.values())),
        measured=None if begun is None else begun.place,
    )


def _asks_for_outputs(config: Config) -> bool:
    explains = any(explainer.name == "pinned" for explainer in config.explain.explainers)
    return explains or any(scorer.name == "intervention" for scorer in config.score.scorers)


def _stage(
    judge: ExpectedJudge,
    dictionary: str,
    explainer: str,
    scorer: str | None,
    n_features: int | None,
    n_asked: int | None,
    requests: Sequence[Request],
    assumed: Assumptions,
) -> PlannedStage:
    """`requests` are those of one feature; `n_asked` counts features and, once more, those that are controls."""
    counts: dict[str, Any] = dict.fromkeys(("n_requests", "input_tokens", "output_tokens", "usd", "usd_max", "seconds"))
    n_answered = judge.n_answered(dictionary, explainer, scorer)
    if n_asked is not None:
        n_requests = n_asked * len(requests)
        n_answered = n_requests if judge.is_done(scorer) else min(n_answered, n_requests)
        counts = {
            "n_requests": n_requests,
            **judge.expect(dictionary, explainer, scorer, n_requests - n_answered, requests, assumed),
        }
    return PlannedStage(dictionary, explainer, scorer, judge.spec, n_features, n_answered=n_answered, **counts)


def _n_features(config: Config, entry: DictionaryEntry) -> int | None:
    """Features drawn, at most; None where it takes the subject or the dictionary to know."""
    wanted = config.harvest.n_features
    if wanted == "all":
        return entry.n_features
    return wanted if entry.n_features is None else min(wanted, entry.n_features)


def _n_controls(config: Config, n_features: int) -> int:
    """Features judged again with an explanation that is not their own."""
    controls = config.controls
    n_shuffled = round(controls.shuffled * n_features) if n_features > 1 else 0
    return n_shuffled + round(controls.empty * n_features) + round(controls.generic * n_features)


def _training_sites(config: Config) -> tuple[str, ...]:
    trained = [entry for entry in config.dictionaries if entry.kind not in FIXED_KINDS]
    subject = config.subject
    layers = [subject.layer if entry.layer is None else entry.layer for entry in trained]
    sites = (f"{entry.site or subject.site}.{layer}" for entry, layer in zip(trained, layers, strict=True))
    return tuple(dict.fromkeys(sites))


def _power(n_features: int | None, difference: float | None, assumed: Assumptions) -> Power:
    deviation = assumed.f1_deviation
    return Power(
        n_features=n_features,
        smallest=None if n_features is None else smallest_difference(n_features, deviation=deviation),
        difference=difference,
        needed=None if difference is None else features_needed(difference, deviation=deviation),
    )


def _reached(config: Config, stages: Sequence[PlannedStage]) -> list[str]:
    """Ceilings that the run would reach."""
    usd, limits = _total(stages, "usd"), config.limits
    n_requests = _total(stages, "n_requests")
    notes = []
    if limits.max_requests is not None and n_requests is not None and n_requests > limits.max_requests:
        notes.append(f"limits.max_requests = {limits.max_requests} stops the run before its {n_requests:,.0f} requests")
    if limits.max_usd is not None and usd is not None and usd > limits.max_usd:
        notes.append(f"limits.max_usd = {limits.max_usd:g} stops the run before its estimated ${usd:.2f}")
    return notes


def _total(stages: Sequence[PlannedStage], column: _SUM) -> float | None:
    values = [getattr(stage, column) for stage in stages]
    return None if None in values else fsum(values)
