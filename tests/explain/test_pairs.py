"""Every explainer with every scorer, from windows to verdicts, offline: the judge `pattern` answers.

Which pairs make no sense, and why, is stated here as data; everything else has to run.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autointerp.builtin_plugins import BUILTIN
from autointerp.config.asking import ScoreConfig, ScorerEntry
from autointerp.explain.pairs import is_pair
from autointerp.explaining import explain_features
from autointerp.records.evidence import Evidence, PinnedEffect
from autointerp.records.verdict import NO_EXPLAINER, Explanation, Verdict
from autointerp.score.opening import open_scorer
from autointerp.score.scorer import Scorer
from autointerp.scoring import score_features
from tests.explain.features import Direct, effects, make_feature, opened
from tests.score.planted import fires_after, fires_on

EXPLAINERS = sorted(BUILTIN["autointerp.explainers"])
SCORERS = sorted(BUILTIN["autointerp.scorers"])
OUTPUT_SIDE = frozenset({"logit_weights", "intervention"})
"""Scorers that ask what a feature does, not where it fires."""

WITHOUT_EXPLANATION = "the scorer needs no explanation; it runs once, beside all explainers"
SAYS_WHAT_IT_DOES = "the explanation says which tokens the feature promotes and not where it fires"
SAYS_WHERE_IT_FIRES = "a pattern holds the tokens that a feature fires on and nothing of what it does"


def no_sense(explainer: str, scorer: str) -> str | None:
    """Why a pair is not worth asking about, or None when it is."""
    if not opened_scorer(scorer).scale.needs_explanation:
        return WITHOUT_EXPLANATION
    if explainer == "logit_weights" and scorer not in OUTPUT_SIDE:
        return SAYS_WHAT_IT_DOES
    if explainer == "pattern" and scorer in OUTPUT_SIDE:
        return SAYS_WHERE_IT_FIRES
    return None


def opened_scorer(name: str) -> Scorer:
    own = {"n_trials": 4} if name in ("intruder", "clustering", "intervention") else {}
    entry = ScorerEntry(name=name, n_positive=6, n_negative=6, n_near_miss=3, windows_per_request=8, **own)
    return open_scorer(entry, ScoreConfig())


PAIRS = [(explainer, scorer) for explainer in EXPLAINERS for scorer in SCORERS if no_sense(explainer, scorer) is None]
ALONE = [scorer for scorer in SCORERS if not opened_scorer(scorer).scale.needs_explanation]


def test_the_senseless_pairs_are_those_that_are_refused() -> None:
    for explainer in sorted({*EXPLAINERS} - {"from_file"}):  # that one needs a file, and may tell both
        for scorer in SCORERS:
            refused = not is_pair(opened(explainer), opened_scorer(scorer))
            assert refused == (no_sense(explainer, scorer) in (SAYS_WHAT_IT_DOES, SAYS_WHERE_IT_FIRES))


def feature(number: int, token: str) -> Evidence:
    rule = fires_on(token) if number < 2 else fires_after(token, " walk")
    evidence = make_feature(rule, token=token, feature=number, n_documents=250 if number < 2 else 900)
    top, bottom = (effects([f" t{sign}{number}{rank}" for rank in range(30)], sign) for sign in (1, -1))
    raised, lowered = (effects([f" p{sign}{number}{rank}" for rank in range(30)], sign) for sign in (1, -1))
    pinned = PinnedEffect(raised, lowered, kl=0.3, strength=4.0)
    return replace(evidence, top_logits=top, bottom_logits=bottom, pinned=pinned)


class Told:
    """The explanations of all explainers, and the verdicts on them by explainer and scorer."""

    def __init__(self, explanations: tuple[Explanation, ...], verdicts: tuple[Verdict, ...], unscored: Any) -> None:
        self.explanations = explanations
        self.unscored = unscored
        self.verdicts: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
        for verdict in verdicts:
            self.verdicts[verdict.explainer, verdict.scorer].append(verdict)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    path: Path = tmp_path_factory.mktemp("told") / "people.csv"
    path.write_text('feature,explanation\n0,"the word ""return"""\n1,"the word ""class"""\n2,"walking"\n')
    evidences = [feature(number, token) for number, token in enumerate((" return", " class", "ing"))]
    explainers = [
        opened(name, **({"path": path, "dictionary": "planted"} if name == "from_file" else {})) for name in EXPLAINERS
    ]

    async def work() -> Told:
        client = Direct()
        explained = await explain_features(evidences, explainers=explainers, client=client, judge="pattern", seed=0)
        scoring = await score_features(
            evidences,
            explained,
            explainers=EXPLAINERS,
            scorers=[opened_scorer(name) for name in SCORERS],
            client=client,
            judge="pattern",
            seed=0,
        )
        return Told(explained, scoring.verdicts, scoring.unscored)

    return asyncio.run(work())


def test_every_explainer_explains_every_feature(told: Told) -> None:
    assert len(told.explanations) == 3 * len(EXPLAINERS)
    assert {(e.explainer, e.failure) for e in told.explanations} == {(name, None) for name in EXPLAINERS}


@pytest.mark.parametrize(("explainer", "scorer"), PAIRS)
def test_a_pair_goes_from_windows_to_verdicts(told: Told, explainer: str, scorer: str) -> None:
    verdicts = told.verdicts[explainer, scorer]
    assert {verdict.feature for verdict in verdicts} == {0, 1, 2}, [u for u in told.unscored if u.scorer == scorer]
    assert {verdict.answer for verdict in verdicts} <= {"fires", "silent"}
    assert min(Counter(verdict.feature for verdict in verdicts).values()) >= 2


@pytest.mark.parametrize("scorer", ALONE)
def test_a_scorer_without_explanations_runs_once(told: Told, scorer: str) -> None:
    asked = {explainer for explainer, name in told.verdicts if name == scorer}
    assert asked == {NO_EXPLAINER}
    assert {verdict.answer for verdict in told.verdicts[NO_EXPLAINER, scorer]} <= {"fires", "silent"}


INPUT_SIDE = sorted(set(EXPLAINERS) - {"logits", "pinned", "logit_weights", "none", "from_file", "single_token"})


@pytest.mark.parametrize("scorer", sorted({"detection", "marked", "fuzzing", "recall"} & set(SCORERS)))
@pytest.mark.parametrize("explainer", INPUT_SIDE)
def test_explanations_of_where_it_fires_are_right(told: Told, explainer: str, scorer: str) -> None:
    """The planted features are simple, so whoever sees their windows has them right, and far above no explanation."""
    assert share_right(told, explainer, scorer) > 0.85
    assert share_right(told, "none", scorer) < 0.7


def share_right(told: Told, explainer: str, scorer: str) -> float:
    """The mean over labels of the share of right answers, near misses aside."""
    verdicts = [v for v in told.verdicts[explainer, scorer] if v.kind != "near_miss"]
    shares = []
    for label, word in ((True, "fires"), (False, "silent")):
        own = [v.answer == word for v in verdicts if v.is_firing == label]
        shares.append(sum(own) / len(own))
    return sum(shares) / 2
