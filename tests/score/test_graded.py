"""Scorers that order windows: one request for all, numbers read as they are, and judges of known quality in order."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.judge import Judge, Reply
from autointerp.judges.offline import scripted
from autointerp.judges.offline.bag_of_words import BagOfWordsJudge
from autointerp.judges.offline.truth import Truth
from autointerp.judges.tasks import LikelihoodTask, SimilarityTask
from autointerp.score.embedding import EmbeddingScorer
from autointerp.score.graded import GradedScorer
from autointerp.score.scorer import Item, Unscorable
from autointerp.score.surprisal import SurprisalScorer
from autointerp.seeds import stream
from autointerp.stats.metrics import auroc
from tests.score.planted import fires_on, make_evidence

EVIDENCE = make_evidence(fires_on(" return"), feature=1)
SCORERS: list[GradedScorer] = [
    EmbeddingScorer(ScorerConfig(name="embedding"), ScoreConfig(), prompt="embedding"),
    SurprisalScorer(ScorerConfig(name="surprisal"), ScoreConfig(), prompt="surprisal"),
]
BOTH = pytest.mark.parametrize("scorer", SCORERS, ids=["embedding", "surprisal"])


def sampled(scorer: GradedScorer) -> tuple[Item, ...]:
    items = scorer.sample(EVIDENCE, stream(0, "test"), others=())
    assert not isinstance(items, Unscorable)
    return items


def area(scorer: GradedScorer, judge: Judge, explanation: str) -> float | None:
    (question,) = scorer.questions(explanation, sampled(scorer))
    reply = asyncio.run(judge.ask(question.request))
    read = scorer.read(question, reply)
    return auroc([item.is_firing for item in question.items], [answer.probability or 0.0 for answer in read])


@BOTH
def test_all_windows_are_asked_about_at_once(scorer: GradedScorer) -> None:
    (question,) = scorer.questions("what it says", sampled(scorer))
    task = question.request.task
    assert isinstance(task, SimilarityTask | LikelihoodTask)
    assert [passage.text for passage in task.passages] == [item.window.text for item in question.items]
    words = "\n".join(message.content for message in question.request.messages)
    assert "what it says" in words
    assert all(item.window.text in words for item in question.items)
    assert scorer.needed is not None


@BOTH
def test_judges_of_known_quality_are_in_order(scorer: GradedScorer) -> None:
    truth = Truth.of_evidence([EVIDENCE])
    assert area(scorer, scripted.oracle(truth), "feature planted/1") == 1.0
    assert area(scorer, scripted.liar(truth), "feature planted/1") == 0.0
    assert area(scorer, scripted.coin(), "e") == pytest.approx(0.5, abs=0.25)
    assert area(scorer, scripted.literal(), "token: return") == 1.0
    (question,) = scorer.questions("e", sampled(scorer))
    read = scorer.read(question, asyncio.run(scripted.mumbler().ask(question.request)))
    assert {answer.answer for answer in read} == {"unparsed"}


def test_words_in_common_tell_a_planted_feature() -> None:
    own = area(SCORERS[0], BagOfWordsJudge(), "return")
    other = area(SCORERS[0], BagOfWordsJudge(), "apple")
    assert own is not None
    assert other is not None
    assert own > 0.95 > 0.7 > other


@BOTH
@pytest.mark.parametrize(
    "text", ["", "[]", "[1]", "{}", "[true, false]", '["a", "b"]', "[NaN, 1]", "[1e400, 0]", "nothing", "[[1, 2]]"]
)
def test_what_is_no_number_per_window_is_unparsed(scorer: GradedScorer, text: str) -> None:
    (question,) = scorer.questions("e", sampled(scorer)[:2])
    assert {read.answer for read in scorer.read(question, Reply(text, "m"))} == {"unparsed"}


@pytest.mark.parametrize(
    ("scorer", "wanted"), [(SCORERS[0], (1.0, 0.5, 0.0)), (SCORERS[1], (0.7310586, 0.5, 0.2689414))]
)
def test_numbers_without_probabilities_are_read_as_the_task_means_them(scorer: Any, wanted: Any) -> None:
    (question,) = scorer.questions("e", sampled(scorer)[:3])
    read = scorer.read(question, Reply(json.dumps([1.0, 0.0, -1.0]), "m"))
    assert [answer.probability for answer in read] == pytest.approx(wanted)
    stated = scorer.read(question, Reply("", "m", probabilities=(0.1, 0.2, 0.3)))
    assert [answer.probability for answer in stated] == [0.1, 0.2, 0.3]
    assert scorer.read(question, Reply("", "m", probabilities=(0.1, 0.2, 1.3)))[0].answer == "unparsed"
