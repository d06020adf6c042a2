"""The rules of replies: what breaks one is found and named, and costs no more than what is at fault."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from autointerp.errors import JudgeRejected, JudgeRetry, JudgeStopped
from autointerp.judges.judge import RateLimits, Reply, Usage
from autointerp.judges.reply_rules import BrokenReply, accept, find_breaches, is_price, judge_errors
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask

TASK = ScoreTask("e", (Passage("a"), Passage("b")))
SOUND = Reply(
    "[1, 0]",
    "m",
    usage=Usage(10, 2, 1, 0.5),
    token_logprobs=(("1", {"1": -0.1, "0": -math.inf}),),
    probabilities=(1.0, 0.25),
    rate_limits=RateLimits(3, 1.5, None, None),
)


def changed(**fields: Any) -> Reply:
    from dataclasses import replace

    return replace(SOUND, **fields)


def test_a_sound_reply_breaks_nothing_and_stays_as_it_is() -> None:
    assert list(find_breaches(SOUND, TASK)) == []
    assert accept(SOUND, TASK, model="asked") == (SOUND, ())


@pytest.mark.parametrize(
    ("reply", "field"),
    [
        (None, "reply"),
        ({"text": "[1]"}, "reply"),
        (changed(text=None), "text"),
        (changed(text=b"[1]"), "text"),
        (changed(text="x" * 10_000_001), "text"),
        (changed(finish=None), "finish"),
        (changed(finish="end_turn"), "finish"),
    ],
)
def test_without_a_text_or_a_finish_there_is_no_reply(reply: Any, field: str) -> None:
    assert [breach.field for breach in find_breaches(reply, TASK)] == [field]
    with pytest.raises(BrokenReply, match="the judge gave no usable reply"):
        accept(reply, TASK, model="m")


@pytest.mark.parametrize("usd", [-27.0, 1e308, math.inf, math.nan, "0.1", np.float32(0.1), 10**400, True, 1001])
def test_a_cost_that_is_none_is_not_known(usd: Any) -> None:
    reply, breaches = accept(changed(usage=Usage(10, 2, 1, usd)), TASK, model="m")
    assert [breach.field for breach in breaches] == ["usage.usd"]
    assert reply == changed(usage=Usage(10, 2, 1, None))
    assert "\n" not in breaches[0].words and len(breaches[0].words) < 100


@pytest.mark.parametrize("count", [-1, 2**64 - 1, 2**63, 10**400, 1.5, None, "7", np.int64(3)])
def test_a_count_that_is_none_is_zero(count: Any) -> None:
    reply, breaches = accept(changed(usage=Usage(10, 2, count, 0.5)), TASK, model="m")
    assert [breach.field for breach in breaches] == ["usage.cached_tokens"]
    assert reply.usage == Usage(10, 2, 0, 0.5)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"usage": None}, "usage"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"token_logprobs": 5}, "token_logprobs"),
        ({"token_logprobs": ("1",)}, "token_logprobs"),
        ({"token_logprobs": (("1", [("1", -0.1)]),)}, "token_logprobs"),
        ({"token_logprobs": (("1", {"1": None}),)}, "token_logprobs"),
        ({"token_logprobs": (("1", {"1": math.nan}),)}, "token_logprobs"),
        ({"token_logprobs": (("1", {"1": -(10**400)}),)}, "token_logprobs"),
        ({"token_logprobs": (("1", {"1": np.float32(-0.5)}),)}, "token_logprobs"),
        ({"probabilities": [0.5, 0.5]}, "probabilities"),
        ({"probabilities": (0.5,)}, "probabilities"),
        ({"probabilities": (0.5, 10**400)}, "probabilities"),
        ({"rate_limits": RateLimits(10**400, 1.0)}, "rate_limits"),
        ({"rate_limits": RateLimits(1, math.inf)}, "rate_limits"),
        ({"rate_limits": {"requests_left": 1}}, "rate_limits"),
    ],
)
def test_what_stands_beside_the_text_can_be_done_without(changes: Mapping[str, Any], field: str) -> None:
    reply, breaches = accept(changed(**changes), TASK, model="asked")
    assert [breach.field for breach in breaches] == [field]
    instead = {"usage": Usage(), "model": "asked"}.get(field)
    assert reply == changed(**{field: instead})


def test_probabilities_are_one_per_passage_of_the_question() -> None:
    assert list(find_breaches(changed(probabilities=(0.5,) * 3), None)) == []
    explain = ExplainTask((), (), (), ())
    assert [breach.field for breach in find_breaches(SOUND, explain)] == ["probabilities"]


def test_half_characters_become_question_marks() -> None:
    reply, breaches = accept(Reply("a\ud800b", "m\udfff"), model="m")
    assert (reply.text, reply.model, breaches) == ("a?b", "m?", ())


def test_whatever_is_raised_is_an_error_that_the_protocol_knows() -> None:
    def deep(n: int = 0) -> int:
        return deep(n + 1)

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    for act in (lambda: {}["choices"], lambda: int("9" * 5_000), lambda: float(10**400), deep, lambda: [][0]):
        with pytest.raises(BrokenReply) as caught, judge_errors():
            act()
        assert "\n" not in str(caught.value) and "test_reply_rules.py" in str(caught.value)
    with pytest.raises(BrokenReply, match="Mute"), judge_errors():
        raise Mute
    for error in (JudgeRetry("busy"), JudgeRejected("too long"), JudgeStopped("wrong key")):
        with pytest.raises(type(error)) as caught, judge_errors():
            raise error
        assert caught.value is error


def test_a_judge_that_cancels_itself_has_failed_and_one_that_is_cancelled_has_not() -> None:
    async def give_up() -> None:
        with judge_errors():
            raise asyncio.CancelledError

    async def wait() -> None:
        with judge_errors():
            await asyncio.sleep(3600)

    async def main() -> None:
        with pytest.raises(BrokenReply):
            await asyncio.create_task(give_up())
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


def test_a_price_is_a_number_of_dollars() -> None:
    assert all(is_price(usd) for usd in (0, 0.0, 1.5, 1e6))
    assert not any(is_price(usd) for usd in (-1, math.inf, math.nan, None, True, "1", 10**400))
