"""Points for an explanation: what is asked, how replies are read, and what judges of known quality give."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from autointerp.judges.judge import Reply
from autointerp.judges.offline import scripted
from autointerp.judges.offline.truth import Truth
from autointerp.judges.tasks import RateTask
from autointerp.records.evidence import Evidence
from autointerp.score.rubric import CRITERIA
from autointerp.score.scorer import Item, Question, Unscorable
from autointerp.seeds import stream
from tests.score.running import open_scorer, row_of
from tests.score.test_scales import evidence_of

RIGHT, WRONG = "token: return", "token: lantern"


def question_of(evidence: Evidence) -> Question:
    scorer = open_scorer("rubric")
    items = scorer.sample(evidence, stream(0, "rubric"), others=())
    assert not isinstance(items, Unscorable)
    (question,) = scorer.questions(RIGHT, items)
    return question


def test_the_points_are_those_of_the_paper():
    assert sum(criterion.most for criterion in CRITERIA.values()) == 14


def test_windows_come_strongest_first_with_their_marks_and_strengths():
    question = question_of(evidence_of())
    task = question.request.task
    assert isinstance(task, RateTask)
    assert len(task.passages) == 12 and all(passage.marks for passage in task.passages)
    assert task.strengths[0] == 10 and list(task.strengths) == sorted(task.strengths, reverse=True)
    assert task.promoted == tuple(f" return {i}" for i in range(10))
    assert tuple(item.key for item in question.items) == tuple(CRITERIA)
    said = question.request.messages[-1].content
    assert "<<" in said and "0 to 5 points" in said and f"{len(CRITERIA)}." in said


def test_of_a_feature_without_logit_effects_they_are_not_asked_about():
    question = question_of(replace(evidence_of(), top_logits=()))
    assert [item.key for item in question.items] == ["confidence", "activations", "specificity"]
    assert "likelier" not in question.request.messages[-1].content


@pytest.mark.parametrize(
    ("points", "shares"),
    [
        ([3, 5, 3, 3], [1, 1, 1, 1]),
        ([0, 2, 1, 2], [0, 2 / 5, 1 / 3, 2 / 3]),
        ([4, 5, 3, 3], None),  # 3 is the most
        ([3, 5, 3], None),
        ([3, 4.5, 3, 3], None),
        ([3, -1, 3, 3], None),
    ],
)
def test_points_beyond_a_questions_own_are_not_read(points: list[float], shares: list[float] | None):
    question, scorer = question_of(evidence_of()), open_scorer("rubric")
    for text in (json.dumps(points), json.dumps({"points": points})):
        read = scorer.read(question, Reply(text, "m"))
        if shares is None:
            assert {answer.answer for answer in read} == {"unparsed"}
        else:
            assert [answer.probability for answer in read] == pytest.approx(shares)
            assert [answer.answer == "fires" for answer in read] == [share >= 0.5 for share in shares]


def points_of(judge: Any, explanation: str = RIGHT) -> dict[str, Any]:
    return row_of(open_scorer("rubric"), evidence_of(), judge, explanation)


def test_judges_of_known_quality_give_what_they_must():
    truth = Truth.of_evidence([evidence_of()])
    assert points_of(scripted.oracle(truth))["score"] == 1.0
    assert points_of(scripted.liar(truth))["score"] == 0.0
    assert points_of(scripted.literal())["score"] == 1.0
    assert points_of(scripted.literal(), WRONG)["score"] == 0.0
    assert 0.2 < points_of(scripted.coin(seed=1))["score"] < 0.8
    mumbled = points_of(scripted.mumbler())
    assert (mumbled["score"], mumbled["unparsed"]) == (0.0, 4)


def test_a_score_is_the_share_of_all_points():
    """7 of 14, not the mean of the shares."""
    judge = scripted.ScriptedJudge("seven", script=lambda *_: "", explain=lambda _: "", sort=lambda *_: "[3, 0, 1, 3]")
    row = points_of(judge)
    assert (row["metric"], row["score"]) == ("rubric", 0.5)
    assert [row[f"rubric_{name}"] for name in CRITERIA] == pytest.approx([1, 0, 1 / 3, 1])
    assert row["chance"] is None and row["f1"] is None


def test_items_of_one_question_show_the_same():
    items: list[Item] = list(question_of(evidence_of()).items)
    assert len({(item.shown, item.tokens) for item in items}) == 1
