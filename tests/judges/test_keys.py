"""Keys of requests: equal for equal questions only, and stable from run to run."""

from __future__ import annotations

from dataclasses import replace

from autointerp.judges.keys import reply_from_record, reply_key, reply_to_record, storable
from autointerp.judges.protocol import Capabilities, Message, Reply, Usage
from autointerp.judges.tasks import ExplainTask, ScoreTask
from tests.judges.questions import question

LLM = Capabilities(endpoint="http://e/v1", model="m")


def test_equal_requests_have_equal_keys_in_every_run() -> None:
    assert reply_key(LLM, question()) == reply_key(LLM, question())
    # frozen: another value means that no journal or cache of earlier versions is found again
    assert reply_key(LLM, question()) == "0052f54361031e7df34d3e1147e0ce81"


def test_whatever_changes_a_reply_changes_the_key() -> None:
    base = question()
    others = [
        replace(base, messages=(*base.messages, Message("assistant", ""))),
        replace(base, messages=base.messages[::-1]),
        replace(base, messages=(Message("user", "Judge."), base.messages[1])),
        replace(base, max_tokens=51),
        replace(base, temperature=0.1),
        replace(base, seed=0),
        replace(base, reply_schema={"type": "array"}),
        replace(base, want_logprobs=True),
        replace(base, sample=1),
    ]
    keys = {reply_key(LLM, request) for request in [base, *others]}
    judges = [
        replace(LLM, endpoint="x"),
        replace(LLM, model="x"),
        replace(LLM, variant="x"),
        replace(LLM, uses_task=True),
    ]
    keys |= {reply_key(capabilities, base) for capabilities in judges}
    assert len(keys) == 1 + len(others) + len(judges)


def test_the_task_counts_only_for_judges_that_answer_from_it() -> None:
    base = question()
    assert isinstance(base.task, ScoreTask)
    other = replace(base, task=replace(base.task, explanation="another"))
    assert reply_key(LLM, base) == reply_key(LLM, other)
    reader = replace(LLM, uses_task=True)
    empty = replace(base, task=ExplainTask((), (), (), ()))
    assert len({reply_key(reader, request) for request in (base, other, empty)}) == 3


def test_equal_numbers_and_schemas_written_differently_are_one_question() -> None:
    a = question(temperature=0, reply_schema={"a": 1, "b": (1, 2)})
    b = question(temperature=0.0, reply_schema={"b": [1, 2], "a": 1})
    assert reply_key(LLM, a) == reply_key(LLM, b)


def test_a_reply_survives_the_way_to_disk_and_back() -> None:
    reply = Reply("t\u2028\x00\U0001f600", "m-1", "length", Usage(3, 2, 1, 0.5), (("1", {"1": -0.5, "0": -1.5}),))
    record = reply_to_record(reply, question(), key="k", capabilities=LLM, latency_s=1.0, n_attempts=2, at=3.0)
    assert reply_from_record(record) == reply


def test_half_characters_are_replaced_before_anybody_sees_them() -> None:
    assert storable(Reply("a\ud800b", "m")).text == "a?b"
