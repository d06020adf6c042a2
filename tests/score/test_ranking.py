"""Planted features on real text: every scorer tells a right explanation from a slightly wrong one and that from a
foreign one, and those that need none tell a feature that means one thing from a mixture of several.

The judge is `literal`: it applies the rule that an explanation names, so what is ranked is the scorer's doing alone.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pandas as pd
import pytest

from autointerp.audition.concept import Concept, Level
from autointerp.audition.concepts import chosen, foreign_of
from autointerp.audition.plain_concepts import PLAIN
from autointerp.audition.planting import DICTIONARY, Counts, plant
from autointerp.audition.texts import read_passages
from autointerp.board.scores import build_scores
from autointerp.builtin_plugins import BUILTIN
from autointerp.config.asking import ScoreConfig, ScorerEntry
from autointerp.judges.judge import Reply, Request
from autointerp.judges.offline.scripted import literal
from autointerp.judges.tasks import GroupTask, IntruderTask
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Explanation
from autointerp.runs.reply_record import Account
from autointerp.score.opening import open_scorer
from autointerp.score.scorer import Scorer
from autointerp.scoring import score_features

TOLD = ("right", "wrong", "foreign")
COUNTS = Counts(
    n_positive=36, n_negative=40, n_missed=12, n_false=14, roles=("explain", "score"), n_top=12, n_logits=40
)
SCORE = ScoreConfig(want_logprobs=True)
LEAST_FRAC = 0.95
LEVELS: tuple[Level, ...] = ("easy", "medium")
"""Of concepts whose rules the judge `literal` can apply."""
N_SMALL = 20
SEEDS_FULL = (0, 1)


N_WINDOWS = {"simulation": 8, "pattern_tokens": 8}
"""Of either label, where every token of a window is asked about."""


def opened(name: str) -> Scorer:
    n = N_WINDOWS.get(name, 20)
    n_trials = 100 if name == "intervention" else 10  # of two options a guess is right half of the time
    own = {"n_trials": n_trials} if name in ("intruder", "clustering", "intervention") else {}
    return open_scorer(ScorerEntry(name=name, n_positive=n, n_negative=n, n_near_miss=0, **own), SCORE)


SCORERS = sorted(BUILTIN["autointerp.scorers"])
EXPLAINED = [name for name in SCORERS if opened(name).scale.needs_explanation]
UNEXPLAINED = [name for name in SCORERS if name not in EXPLAINED]


class Direct:
    """Asks the judge itself: no journal, no limits."""

    def __init__(self, judge: Any) -> None:
        self.judge = judge

    async def ask(self, request: Request, *, account: Account | None = None) -> Reply:
        return await self.judge.ask(request)


@cache
def planted(n: int, seed: int) -> tuple[Evidence, ...]:
    taken: set[str] = set()  # so that no document serves one feature to explain and another to score
    return tuple(
        plant(concept, COUNTS, feature=feature, seed=seed, wrong=concept.shifted, taken=taken)
        for feature, concept in enumerate(chosen(n, LEVELS))
    )


def explanations(concepts: Sequence[Concept]) -> list[Explanation]:
    return [
        Explanation(DICTIONARY, feature, told, "none", "", f"regex: {rule.pattern}")
        for feature, concept in enumerate(concepts)
        for told, rule in zip(TOLD, (concept.right, concept.shifted, foreign_of(concept).right), strict=True)
    ]


def scores(name: str, evidences: Sequence[Evidence], told: Sequence[Explanation], judge: Any) -> pd.DataFrame:
    scorer = opened(name)
    found = asyncio.run(
        score_features(evidences, told, explainers=TOLD, scorers=[scorer], client=Direct(judge), judge="judge", seed=0)
    )
    return build_scores(
        evidences,
        told,
        found.verdicts,
        explainers=TOLD,
        scorers={scorer.name: scorer.scale},
        judge="judge",
        unscored=found.unscored,
    )


def ranked(name: str, n: int, seed: int) -> list[str]:
    """The concepts that a scorer does not rank right > wrong > foreign; ties are failures, and so is no score."""
    evidences, concepts = planted(n, seed), chosen(n, LEVELS)
    table = scores(name, evidences, explanations(concepts), literal())
    by = {(row.feature, row.explainer): row.score for row in table.itertuples()}
    assert len(by) == n * len(TOLD)
    return [
        f"{concept.name} " + " ".join(f"{by[feature, told]:.3f}" for told in TOLD)
        for feature, concept in enumerate(concepts)
        if not by[feature, "right"] > by[feature, "wrong"] > by[feature, "foreign"]
    ]


def test_the_wrong_explanation_errs_on_a_fifth_of_the_windows_at_least() -> None:
    for concept, evidence in zip(chosen(N_SMALL, LEVELS), planted(N_SMALL, 0), strict=True):
        windows = evidence.select("score")
        errs = [concept.shifted.fires(window.text) != window.is_firing for window in windows]
        assert sum(errs) / len(windows) >= 0.2
        assert all(concept.right.fires(window.text) == window.is_firing for window in windows)


@pytest.mark.parametrize("name", EXPLAINED)
def test_right_scores_above_slightly_wrong_and_that_above_foreign(name: str) -> None:
    failed = ranked(name, N_SMALL, 0)
    assert len(failed) <= (1 - LEAST_FRAC) * N_SMALL, failed


@pytest.mark.full
@pytest.mark.parametrize("name", EXPLAINED)
def test_the_ranking_holds_for_all_concepts_and_other_texts(name: str) -> None:
    failed = [f"seed {seed}: {one}" for seed in SEEDS_FULL for one in ranked(name, len(PLAIN), seed)]
    assert len(failed) <= (1 - LEAST_FRAC) * len(PLAIN) * len(SEEDS_FULL), failed


class Expert:
    """Knows the rules that there are, but not which of them is asked about: it looks for the one that tells the
    passages apart best, as a reader would that sees what they have in common.
    """

    async def ask(self, request: Request) -> Reply:
        task = request.task
        assert isinstance(task, IntruderTask | GroupTask)
        texts = [passage.text for passage in task.passages]
        n = len(texts)
        sizes = {n - 1} if isinstance(task, IntruderTask) else set(range(2, n - 1))
        splits = [(c.name, [c.right.fires(text) for text in texts]) for c in PLAIN]
        fitting = [(surprise(name, split), split) for name, split in splits if sum(split) in sizes]
        best = max(fitting)[1] if fitting else [False] * n
        if isinstance(task, GroupTask):
            return Reply(json.dumps({"answers": [int(fires) for fires in best]}), "expert")
        return Reply(json.dumps({"answer": best.index(False) + 1}), "expert")


@cache
def base_rates() -> dict[str, float]:
    texts = [passage.text for passage in read_passages()[::97]]
    return {c.name: (1 + sum(c.right.fires(text) for text in texts)) / (2 + len(texts)) for c in PLAIN}


def surprise(name: str, split: Sequence[bool]) -> float:
    """How unlikely it is that a rule splits passages so by chance, in nats."""
    rate = base_rates()[name]
    return -sum(math.log(rate if fires else 1 - rate) for fires in split)


def mixed(evidences: Sequence[Evidence], n: int) -> list[Evidence]:
    """Features without a meaning of their own: each fires in windows of all the features given, a few of each."""
    return [
        replace(
            evidences[0],
            dictionary="mixed",
            feature=feature,
            windows=tuple(w for e in evidences for w in e.select("score")[feature::n]),
        )
        for feature in range(n)
    ]


def share_above(name: str, n: int, seed: int) -> float:
    """The share of pairs of a planted and a mixed feature in which the planted one scores higher; ties do not count."""
    evidences = planted(n, seed)
    tables = [scores(name, own, (), Expert()) for own in (evidences, mixed(evidences, len(evidences) // 2))]
    ours, theirs = (table.score.dropna().to_numpy() for table in tables)
    assert len(ours) == n
    assert len(theirs) == n // 2
    return float((ours[:, None] > theirs[None, :]).mean())


@pytest.mark.parametrize("name", UNEXPLAINED)
def test_a_planted_feature_scores_above_a_mixture(name: str) -> None:
    assert share_above(name, N_SMALL, 0) >= LEAST_FRAC


@pytest.mark.full
@pytest.mark.parametrize("name", UNEXPLAINED)
def test_all_planted_features_score_above_mixtures(name: str) -> None:
    assert share_above(name, len(PLAIN), 1) >= LEAST_FRAC
