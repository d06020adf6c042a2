"""`/decisions`: one question per passage, an answer with a probability each, or no reply at all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.errors import JudgeRetry
from autointerp.judges.endpoint.decisions import MOST_QUESTIONS, can_decide, decision_body, read_decisions
from autointerp.judges.endpoint.openai import OpenAIJudge, open_judge
from autointerp.judges.engine.budget import Budget
from autointerp.judges.judge import Request
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask
from autointerp.prompting.parsing import parse_answers
from tests.judges.fault_server import FaultServer, Said
from tests.judges.personalities import KINDS_OF_SERVER
from tests.judges.questions import question


def price(*, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
    return input_tokens + 100 * output_tokens - 0.5 * cached_tokens


def read(answers: Any, n: int, **more: Any) -> Any:
    return read_decisions({"model": "d", "answers": answers, **more}, {}, n=n, model="m", price=price)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=MOST_QUESTIONS))
@settings(deadline=None)
def test_the_text_is_the_list_of_answers_and_the_probabilities_stand_beside_it(probabilities: list[float]) -> None:
    reply = read([{"type": "predicate", "probability": p} for p in probabilities], len(probabilities))
    assert reply.probabilities == tuple(probabilities)
    assert parse_answers(reply.text, len(probabilities)) == [int(p >= 0.5) for p in probabilities]
    assert (reply.finish, reply.model) == ("stop", "d")


def test_its_usage_is_read_in_its_own_words() -> None:
    usage = {"input_tokens": 30, "input_tokens_details": {"cached_tokens": 20}, "output_tokens": 2}
    reply = read([{"probability": 1}], 1, usage=usage)
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens) == (30, 2, 20)
    assert reply.usage.usd == 30 + 200 - 10


def test_a_declined_question_has_no_answer_and_all_declined_are_a_refusal() -> None:
    some = read([{"probability": 0.9}, {"type": "refusal", "refusal": "no"}], 2)
    assert json.loads(some.text) == [1, None]
    assert (some.probabilities, some.finish) == (None, "stop")
    assert read([{"type": "refusal"}] * 2, 2).finish == "refused"


@pytest.mark.parametrize(
    "answers",
    [None, [], [{"probability": 0.5}] * 3, [1, 0], [{"probability": 1.1}] * 2, [{"probability": True}] * 2, [{}, {}]],
)
def test_anything_else_is_to_be_asked_again(answers: Any) -> None:
    with pytest.raises(JudgeRetry, match="answer"):
        read(answers, 2)


def test_which_requests_can_be_decided() -> None:
    passages = (Passage("a"),) * (MOST_QUESTIONS + 1)
    base = question(want_logprobs=True)
    assert can_decide(base)
    for task in (ScoreTask("e", passages), ScoreTask("e", ()), ExplainTask((), (), (), ())):
        assert not can_decide(Request(task, base.messages, 5, want_logprobs=True))
    assert not can_decide(question())


def test_the_body_holds_what_the_protocol_knows_and_no_more() -> None:
    body = decision_body(question(want_logprobs=True), model="m")
    assert set(body) == {"model", "input", "questions"}
    assert [q["name"] for q in body["questions"]] == ["1", "2"]
    assert all(set(q) == {"type", "name", "instructions"} for q in body["questions"])


def test_the_bound_on_the_price_covers_the_input_once_per_question() -> None:
    prices = {"usd_per_million_input_tokens": 1e6, "usd_per_million_output_tokens": 1e6}

    async def inner(server: FaultServer) -> OpenAIJudge:
        judge = open_judge("m", {"base_url": server.base_url, **prices})
        await judge.probe(run=None, cache=None, budget=Budget(), say=lambda _: None)
        await judge.aclose()
        return judge

    with FaultServer(personality=KINDS_OF_SERVER["decides"]) as server:
        judge = asyncio.run(inner(server))
    asked = question(want_logprobs=True)
    bound = judge.bound_usd(asked)
    assert bound is not None
    assert bound > 2 * len("Judge.Judge q.") + 2 * len(decision_body(asked, model="m")["questions"][0]["instructions"])


def test_an_error_of_the_endpoint_is_mapped_like_any_other() -> None:
    is_broken = [False]

    def breaks_later(path: str, body: dict[str, Any]) -> Said:
        return Said("", status=503) if is_broken[0] else KINDS_OF_SERVER["decides"](path, body)

    async def inner(server: FaultServer) -> None:
        judge = open_judge("m", {"base_url": server.base_url})
        await judge.probe(run=None, cache=None, budget=Budget(), say=lambda _: None)
        is_broken[0] = True
        with pytest.raises(JudgeRetry, match="503") as caught:
            await judge.ask(question(want_logprobs=True))
        assert caught.value.is_overload
        await judge.aclose()

    with FaultServer(personality=breaks_later) as server:
        asyncio.run(inner(server))
