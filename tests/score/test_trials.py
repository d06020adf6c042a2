"""Scorers without an explanation: what a trial holds, how replies are read, and that planted features come first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from autointerp.config.asking import ScoreConfig
from autointerp.judges.judge import Judge, Reply
from autointerp.judges.offline import scripted
from autointerp.judges.offline.pattern import PatternJudge
from autointerp.judges.offline.truth import Truth
from autointerp.judges.tasks import GroupTask, IntruderTask
from autointerp.records.evidence import Evidence
from autointerp.records.planted import plant_evidence
from autointerp.score.clustering import N_OTHER, N_OWN, ClusteringScorer
from autointerp.score.intruder import N_SHOWN, IntruderScorer, IntruderSettings
from autointerp.score.scorer import Item, Unscorable
from autointerp.score.trials import WindowTrialSettings, deal
from autointerp.seeds import stream, unit_hash
from tests.score.planted import Rule, fires_on, make_evidence

TOKEN = make_evidence(fires_on(" def"), feature=1)
OTHERS = (make_evidence(fires_on(" apple"), feature=2), make_evidence(fires_on(" gamma", " delta"), feature=3))
SCORE = ScoreConfig()


def intruder(**changed: Any) -> IntruderScorer:
    return IntruderScorer(IntruderSettings(name="intruder", **changed), SCORE)


def clustering(**changed: Any) -> ClusteringScorer:
    return ClusteringScorer(WindowTrialSettings(name="clustering", **changed), SCORE)


Trials = IntruderScorer | ClusteringScorer


def sampled(scorer: Trials, evidence: Evidence = TOKEN, seed: int = 0) -> tuple[Item, ...]:
    items = scorer.sample(evidence, stream(seed, "test"), others=OTHERS)
    assert not isinstance(items, Unscorable), items
    return items


def accuracy(scorer: Trials, judge: Judge, evidence: Evidence) -> float:
    """The share of the items that the judge is right about."""
    right: list[bool] = []
    for question in scorer.questions("", sampled(scorer, evidence)):
        reply = asyncio.run(judge.ask(question.request))
        for item, read in zip(question.items, scorer.read(question, reply), strict=True):
            right.append((read.answer == "fires") if item.is_firing else read.answer == "silent")
    return float(np.mean(right))


@pytest.mark.parametrize("intruders", ["random", "near_miss", "other_feature"])
@pytest.mark.parametrize("marks", [False, True])
def test_a_trial_holds_four_firing_windows_and_a_silent_one_anywhere(intruders: Any, marks: bool) -> None:
    scorer = intruder(intruders=intruders, marks=marks, n_trials=60)
    evidence = plant_evidence() if intruders == "near_miss" else TOKEN
    items = sampled(scorer, evidence)
    own = {window.text for window in evidence.select("score", "top", "bin")}
    assert len(items) == 60
    for item in items:
        (place,) = item.places
        texts = [window.text for window in item.shown]  # type: ignore[union-attr]
        assert len(set(texts)) == N_SHOWN
        assert [text in own for text in texts] == [i != place for i in range(N_SHOWN)]
        assert item.window.text == texts[place]
        assert item.kind == {"other_feature": "other"}.get(intruders, intruders)
    assert {item.places for item in items} == {(place,) for place in range(N_SHOWN)}
    task = scorer.questions("", items)[0].request.task
    assert isinstance(task, IntruderTask)
    assert all(bool(passage.marks) == marks for passage in task.passages)


def test_marks_stand_on_what_fires_and_in_a_silent_intruder_on_as_many_tokens() -> None:
    scorer = intruder(marks=True, n_trials=30)
    for question in scorer.questions("", sampled(scorer)):
        task = question.request.task
        assert isinstance(task, IntruderTask)
        (place,) = question.items[0].places
        for index, passage in enumerate(task.passages):
            texts = [passage.text[start:end] for start, end in passage.marks]
            assert (set(texts) == {" def"}) == (index != place)
        counts = [len(passage.marks) for passage in task.passages]
        assert counts[place] in counts[:place] + counts[place + 1 :]


def test_a_trial_of_clustering_has_as_many_pairs_alike_as_not() -> None:
    items = sampled(clustering())
    for _, pairs in groupby(items, key=lambda item: item.shown):
        pairs = list(pairs)
        own = {window.text for window in TOKEN.select("score", "top", "bin")}
        alike = [window.text in own for window in pairs[0].shown]  # type: ignore[union-attr]
        assert (sum(alike), len(alike)) == (N_OWN, N_OWN + N_OTHER)
        n_alike = sum(alike[a] == alike[b] for a in range(9) for b in range(a))
        assert n_alike == 18
        assert sum(pair.is_firing for pair in pairs) == len(pairs) / 2
        assert all(pair.is_firing == (alike[pair.places[0]] == alike[pair.places[1]]) for pair in pairs)


@pytest.mark.parametrize("division", [[0] * 9, [1] * 9])
def test_all_in_one_group_is_right_about_half_of_the_pairs(division: list[int]) -> None:
    scorer = clustering(n_trials=3)
    for question in scorer.questions("", sampled(scorer)):
        read = scorer.read(question, Reply(json.dumps(division), "m"))
        assert np.mean([(r.answer == "fires") == i.is_firing for i, r in zip(question.items, read, strict=True)]) == 0.5


def test_names_of_groups_mean_nothing() -> None:
    scorer = clustering(n_trials=2)
    for question in scorer.questions("", sampled(scorer)):
        bits = [int(unit_hash("group", place) < 0.5) for place in range(9)]
        turned = [1 - bit for bit in bits]
        assert scorer.read(question, Reply(json.dumps(bits), "m")) == scorer.read(
            question, Reply(json.dumps(turned), "m")
        )
        lost = scorer.read(question, Reply(json.dumps({"answers": [None, *bits[1:]]}), "m"))
        assert {read.answer for read in lost} == {"unparsed"}


def test_what_is_explained_is_not_told() -> None:
    for scorer in (intruder(), clustering()):
        items = sampled(scorer)
        assert scorer.questions("a", items) == scorer.questions("b", items)


def test_too_little_is_said() -> None:
    few = plant_evidence(without=frozenset({"top", "bin"}))
    for scorer in (intruder(), clustering()):
        found = scorer.sample(few, stream(0, "t"), others=(plant_evidence(1),))
        assert isinstance(found, Unscorable)
        assert found.reason == "too_few_positives"
    found = clustering().sample(TOKEN, stream(0, "t"), others=(TOKEN,))
    assert isinstance(found, Unscorable)
    assert found.reason == "too_few_negatives"


def test_an_unread_number_is_asked_for_again_and_no_more_than_that() -> None:
    scorer = intruder()
    question = scorer.questions("", sampled(scorer))[0]
    again = scorer.reask(question, [Reply("the third, I think", "m")])
    assert again is not None
    assert "no single number" in again.messages[-1].content
    assert scorer.reask(question, [Reply("Hmm", "m"), Reply("Hmm", "m")]) is None
    assert scorer.reask(question, [Reply('{"answer": 2}', "m")]) is None
    assert scorer.read(question, Reply('{"answer": 6}', "m"))[0].answer == "unparsed"
    assert scorer.read(question, Reply("I cannot help with that.", "m"))[0].answer == "refused"


def test_hands_use_every_window_before_one_comes_again() -> None:
    windows = TOKEN.select("score", "top")
    hands = deal(windows, 4, 3, stream(0, "deal"))
    assert len({window.id for hand in hands for window in hand}) == 12
    assert all(len({window.id for window in hand}) == 4 for hand in deal(windows, 4, 10, stream(0, "deal")))
    with pytest.raises(ValueError, match="a hand takes 99"):
        deal(windows, 99, 1, stream(0, "deal"))


@pytest.mark.parametrize("scorer", [intruder(n_trials=20), clustering(n_trials=20)], ids=["intruder", "clustering"])
def test_judges_of_known_quality_score_as_they_should(scorer: Trials) -> None:
    truth = Truth.of_evidence([TOKEN, *OTHERS])
    assert accuracy(scorer, scripted.oracle(truth), TOKEN) == 1.0
    assert accuracy(scorer, scripted.liar(truth), TOKEN) < scorer.scale.chance  # type: ignore[operator]
    assert accuracy(scorer, scripted.coin(), TOKEN) == pytest.approx(scorer.scale.chance, abs=0.2)
    question = scorer.questions("", sampled(scorer))[0]
    reply = asyncio.run(scripted.mumbler().ask(question.request))
    assert {read.answer for read in scorer.read(question, reply)} == {"unparsed"}


class Knowing:
    """A judge that knows every rule there may be, and not which of them the windows were chosen by."""

    capabilities = scripted.coin().capabilities

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens

    async def ask(self, request: Any) -> Reply:
        texts = [passage.text for passage in request.task.passages]
        has = {token: [token in text for text in texts] for token in self._tokens}
        if isinstance(request.task, GroupTask):
            pairs = [(a, b) for a in has for b in has if a != b]
            first, _ = max(pairs, key=lambda pair: sum(x != y for x, y in zip(has[pair[0]], has[pair[1]], strict=True)))
            return Reply(json.dumps([int(found) for found in has[first]]), "knowing")
        fitting = [found.index(False) for found in has.values() if sum(found) == len(texts) - 1]
        guess = int(unit_hash("guess", *texts) * len(texts))
        return Reply(json.dumps({"answer": (fitting[0] if len(fitting) == 1 else guess) + 1}), "knowing")

    async def aclose(self) -> None:
        return


def mixed(number: int) -> Rule:
    """A feature that fires anywhere, on nothing in particular."""
    return lambda pieces, index: len(pieces) > 2 and unit_hash("mixed", number, index, *pieces) < 0.04


PLANTED = [" def", " class", " return", " alpha", " beta", " None", " self"]


@pytest.mark.parametrize("scorer", [intruder(n_trials=20), clustering(n_trials=20)], ids=["intruder", "clustering"])
def test_planted_features_rank_above_mixed_ones(scorer: Trials) -> None:
    judge = Knowing([*PLANTED, " apple", " gamma"])
    planted = [
        accuracy(scorer, judge, make_evidence(fires_on(t), feature=10 + i, n_documents=300))
        for i, t in enumerate(PLANTED)
    ]
    none = [accuracy(scorer, judge, make_evidence(mixed(i), feature=40 + i, n_documents=300)) for i in range(7)]
    assert np.mean([p > m for p in planted for m in none]) >= 0.95, (planted, none)


@pytest.mark.parametrize("scorer", [intruder(n_trials=20, marks=True), clustering(n_trials=20, marks=True)])
def test_comparing_words_is_enough_where_they_are_marked(scorer: Trials) -> None:
    assert accuracy(scorer, PatternJudge(), TOKEN) >= 0.9
    assert accuracy(scorer, PatternJudge(), make_evidence(mixed(1), feature=9)) < 0.75
