"""A population of features whose answers come from the `noisy` judge, with the mean that an endless run would find.

Features are of a few types, each judged with its own sensitivity and specificity; a run draws features at random. All
goes the real way: scorer, loop, verdicts, rows, entries.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import binom

from autointerp.board.scores import build_scores
from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.engine.client import Outcome
from autointerp.judges.judge import Judge, Request
from autointerp.judges.offline.scripted import noisy
from autointerp.judges.offline.truth import Truth
from autointerp.judges.tasks import Passage
from autointerp.records.evidence import Evidence
from autointerp.records.planted import plant_evidence
from autointerp.records.verdict import Explanation
from autointerp.runs.reply_record import Account
from autointerp.score.detection import open_scorer
from autointerp.scoring import score_features
from autointerp.seeds import stream

N_WINDOWS = 10
"""Firing windows asked about per feature, and silent ones."""
_N_EVIDENCES = 8


@dataclass(frozen=True)
class FeatureType:
    """Features whose answers are right with these shares, and how common they are."""

    sensitivity: float
    specificity: float
    share: float


POPULATION = (
    FeatureType(0.95, 0.95, 0.3),
    FeatureType(0.80, 0.70, 0.3),
    FeatureType(0.50, 0.60, 0.2),
    FeatureType(0.30, 0.90, 0.2),
)


def expected_f1(population: tuple[FeatureType, ...] = POPULATION, n: int = N_WINDOWS) -> float:
    """The mean of F1 over the population at these label counts, by enumeration of every outcome."""
    hits, alarms = np.arange(n + 1)[:, None], np.arange(n + 1)[None, :]
    f1 = 2 * hits / (hits + alarms + n)
    return sum(
        kind.share
        * float((binom.pmf(hits, n, kind.sensitivity) * binom.pmf(alarms, n, 1 - kind.specificity) * f1).sum())
        for kind in population
    )


@cache
def _evidences() -> tuple[Evidence, ...]:
    return tuple(plant_evidence(feature) for feature in range(_N_EVIDENCES))


@cache
def _truth() -> Truth:
    labels = {
        f"planted/{e.feature}": {Passage(text=w.text, mark=None): w.is_firing for w in e.select("score")}
        for e in _evidences()
    }
    return Truth(labels)


class _ByType:
    """A client that asks the noisy judge of the type which the explanation names."""

    def __init__(self, judges: list[Judge]) -> None:
        self._judges = judges

    async def ask(self, request: Request, *, account: Account | None = None) -> Outcome:
        assert request.task is not None
        return await self._judges[int(request.task.explanation.split()[-1])].ask(request)  # type: ignore[union-attr]


def draw_run(
    seed: int, *, n_features: int, dictionaries: tuple[str, ...] = ("sae",), population=POPULATION
) -> pd.DataFrame:
    """The table of scores of one simulated run. Every feature's answers are its own, whichever windows it shares."""
    rng = stream(seed, "population")
    evidences, explanations = [], []
    for dictionary in dictionaries:
        for feature in range(n_features):
            planted = _evidences()[feature % _N_EVIDENCES]
            evidences.append(replace(planted, dictionary=dictionary, feature=feature))
            kind = int(rng.choice(len(population), p=[kind.share for kind in population]))
            text = f"run {seed} {dictionary} {feature} of type {kind}"
            explanations.append(Explanation(dictionary, feature, "windows", "scripted", "e", text))
    judges: list[Judge] = [
        noisy(_truth(), sensitivity=kind.sensitivity, specificity=kind.specificity, seed=seed) for kind in population
    ]
    settings = ScorerConfig(name="detection", n_positive=N_WINDOWS, n_negative=N_WINDOWS, n_near_miss=0)
    scorer = open_scorer(settings, ScoreConfig())
    scoring = asyncio.run(
        score_features(
            evidences,
            explanations,
            explainers=["windows"],
            scorers=[scorer],
            client=_ByType(judges),
            judge="noisy",
            seed=seed,
        )
    )
    return build_scores(evidences, explanations, scoring.verdicts, scorers={"detection": scorer.scale})
