"""A list of windows asked about one at a time: the same windows, one reply, no lost answer filled up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autointerp.judges.engine.client import Failure
from autointerp.judges.judge import Message, Reply, Request, Usage
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask
from autointerp.prompting.one_window import OneWindow
from autointerp.prompting.parsing import find_answers
from autointerp.score.listing import reply_schema

PASSAGES = (Passage("a cat"), Passage("a dog", mark=(2, 5)), Passage("cat and cat", marks=((0, 3), (8, 11))))


def listed(passages: tuple[Passage, ...] = PASSAGES, **changes: Any) -> Request:
    given = {"max_tokens": 300, "reply_schema": reply_schema(len(passages)), "want_logprobs": True, **changes}
    return Request(ScoreTask("about cats", passages), (Message("user", "all of them"),), **given)


def test_every_window_is_asked_about_in_its_own_words() -> None:
    request = listed(seed=3, sample=1, temperature=0.5)
    parts = OneWindow().split(request)
    assert OneWindow().count(request) == len(parts) == 3
    assert [part.task for part in parts] == [ScoreTask("about cats", (passage,)) for passage in PASSAGES]
    assert len({part.messages[0] for part in parts}) == 1
    said = [part.messages[-1].content for part in parts]
    assert ['"a cat"' in said[0], '"a <<dog>>"' in said[1], '"<<cat>> and <<cat>>"' in said[2]] == [True] * 3
    assert ["between << and >>" in text for text in said] == [False, True, True]
    assert all('Description: "about cats"' in text for text in said)
    assert {(part.seed, part.sample, part.temperature) for part in parts} == {(3, 1, 0.5)}


@pytest.mark.parametrize(
    "request_",
    [
        listed(reply_schema=None),
        Request(ExplainTask((), (), (), ()), (), 10),
        Request(ScoreTask("x", (Passage("tok"),), asks="promotes"), (), 10, reply_schema=reply_schema(1)),
    ],
)
def test_other_questions_are_put_as_they_are(request_: Request) -> None:
    assert OneWindow().split(request_) == ()
    assert OneWindow().count(request_) == 1


def test_one_reply_holds_all_answers_and_all_costs() -> None:
    usage = Usage(10, 1, 4, 0.5)
    joined = OneWindow().join(
        [Reply("1", "m", usage=usage, probabilities=(0.9,)), Reply(" 0.", "m", usage=usage, probabilities=(0.2,))]
    )
    assert joined == Reply('{"answers": [1, 0]}', "m", usage=Usage(20, 2, 8, 1.0), probabilities=(0.9, 0.2))


def test_probabilities_come_from_tokens_too() -> None:
    tokens = (("1", {"1": -0.1, "0": -2.4}),)
    joined = OneWindow().join([Reply("1", "m", token_logprobs=tokens)])
    assert joined.probabilities == pytest.approx((0.909,), abs=0.01)


def test_what_is_lost_stays_lost() -> None:
    lost = Failure("error", "too long")
    joined = OneWindow().join([Reply("1", "m"), Reply("who knows", "m"), lost])
    assert isinstance(joined, Reply)
    assert json.loads(joined.text) == {"answers": [1, None, None]}
    answers = find_answers(joined.text, 3)
    assert answers is not None
    assert answers.values == (1, None, None)
    assert OneWindow().join([lost, lost]) is lost
