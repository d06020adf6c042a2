"""What a run would ask, read and cost, before anything is loaded or sent.

Takes a config only. Requests are counted as the run would send them (`rehearsal`); tokens, price and time are
estimates under the assumptions spelled here. Knows nothing of subjects, corpora, endpoints or torch.
"""

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
from autointerp.judges.protocol import Request
from autointerp.records.verdict import NO_EXPLAINER
from autointerp.rehearsal import (
    needs_explanation,
    rehearse_explaining,
    rehearse_pairs,
    rehearse_scoring,
    window_tokens,
)
from autointerp.score.presets import apply_preset
from autointerp.score.protocol import Unscorable
from autointerp.stats.significance import features_needed, smallest_difference

__all__ = ["ASSUMED", "Assumptions", "Plan", "PlannedStage", "Power", "make_plan"]

_SUM = Literal["n_requests", "n_answered", "input_tokens", "output_tokens", "usd", "usd_max", "seconds"]


_TOLD_TOKENS = 50
"""Length of an explanation as a scorer is told it: what follows the explainer's thinking."""


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """What one dictionary asks of one judge: to explain by one explainer (`scorer` None), or to score what that one
    explained under one scorer, controls included.

    Numbers are None where the number of features is not known before the subject is loaded, `usd` and `seconds` also
    where the judge's price and pace are not. Of `n_requests`, at most, `n_answered` are answered in the run's journal
    already; tokens, `usd` and `seconds` are of the rest. `usd_max` is for replies as long as max_tokens allows.
    """

    dictionary: str
    explainer: str
    scorer: str | None
    judge: str
    n_features: int | None
    n_requests: int | None
    n_answered: int
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None
    usd_max: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Power:
    """What the number of features can show, two-sided at the 5% level with a power of 80%.

    `smallest` is the smallest difference in mean F1 that `n_features` per dictionary show; `needed` are the features
    per dictionary that `difference` takes, where that was asked.
    """

    n_features: int | None
    smallest: float | None
    difference: float | None
    needed: int | None

    @property
    def is_enough(self) -> bool | None:
        """Whether the config has the features needed; None where that was not asked or is not known."""
        return None if self.needed is None or self.n_features is None else self.n_features >= self.needed


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run. `dictionary_tokens` are read once per site that trains (`training_sites`), `evidence_tokens`
    (explain and score roles together) as often as `assumed` says. `notes` is what the user should know or mend,
    `counted_by` how the judges' tokens were counted, `measured` the run whose replies were measured.
    """

    name: str
    stages: tuple[PlannedStage, ...]
    window_tokens: int
    max_concurrent: int
    dictionary_tokens: int
    training_sites: tuple[str, ...]
    evidence_tokens: int
    power: Power
    assumed: Assumptions
    notes: tuple[str, ...]
    counted_by: tuple[str, ...] = ()
    measured: str | None = None

    def total(self, column: _SUM) -> float | None:
        """The sum over all stages, None when a part of it is not known."""
        return _total(self.stages, column)


def make_plan(
    config: Config,
    *,
    difference: float | None = None,
    assumed: Assumptions = ASSUMED,
    begun: BegunRun | None = None,
    tokenizer: TokenCounter | None = None,
) -> Plan:
    """The plan of a config, its preset applied. `difference` is one in mean F1 that shall be shown.

    `begun` is what a run of it has done, whose replies are measured and then no longer planned; `tokenizer` counts
    the judges' tokens where they are not measured.

    Raises ConfigError for a wrong option of a judge, an explainer that tells nothing of what a scorer asks, or a
    difference out of range, PluginError for an unknown judge,
    explainer or scorer.
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
    for entry in config.dictionaries:
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
    """Whether something rests on what the subject says when a feature is held high."""
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
    """Features drawn, at most; None where it takes the subject's width or the dictionary itself to know."""
    wanted = config.harvest.n_features
    if wanted == "all":
        return entry.n_features
    return wanted if entry.n_features is None else min(wanted, entry.n_features)


def _n_controls(config: Config, n_features: int) -> int:
    """How often features are judged again with an explanation that is not their own (`score.controls`)."""
    controls = config.controls
    n_shuffled = round(controls.shuffled * n_features) if n_features > 1 else 0
    return n_shuffled + round(controls.empty * n_features) + round(controls.generic * n_features)


def _training_sites(config: Config) -> tuple[str, ...]:
    """The sites, each with its layer, at which dictionaries are trained; all of one site see the same pass."""
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
    """The ceilings of the config that the run would reach."""
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
