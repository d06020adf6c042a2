"""Keys of requests: equal for equal questions only, and stable from run to run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from autointerp.judges.judge import Capabilities, Message, Reply, Usage
from autointerp.judges.reply_key import reply_from_record, reply_key, reply_to_record, shared_key
from autointerp.judges.reply_rules import accept
from autointerp.judges.tasks import ExplainTask, ScoreTask
from autointerp.runs.journal import open_journal
from autointerp.runs.reply_cache import open_reply_cache
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


def test_who_is_served_is_told_apart_in_the_shared_key_alone() -> None:
    one, other = replace(LLM, identity="one"), replace(LLM, identity="other")
    assert reply_key(one, question()) == reply_key(other, question()) == reply_key(LLM, question())
    key = reply_key(LLM, question())
    assert shared_key(LLM, key) == key, "frozen: replies that plug-ins' judges have shared are found again"
    assert len({key, shared_key(one, key), shared_key(other, key)}) == 3
    assert shared_key(replace(LLM, is_shared=False), key) is shared_key(replace(LLM, is_local=True), key) is None


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


@pytest.mark.parametrize("probabilities", [None, (), (0.0, 0.25, 1.0), (1 / 3, 0.1 + 0.2)])
def test_probabilities_survive_exactly(probabilities: tuple[float, ...] | None) -> None:
    reply = Reply("[0, 0, 1]", "m", probabilities=probabilities)
    record = reply_to_record(reply, question(), key="k", capabilities=LLM, latency_s=0.0, n_attempts=1, at=0.0)
    assert reply_from_record(record) == reply


def test_probabilities_and_token_logprobs_survive_the_journal_and_the_cache(tmp_path: Path) -> None:
    """Minus infinity, half characters and all: what a verdict's probability came from can be computed again."""
    logprobs = (('{"', {'{"': 0.0}), ("1", {"1": -0.1, "0": -2.5, "\ud83d": -math.inf, "?": -9999.0}))
    reply = Reply("[1]", "m", probabilities=(0.1 + 0.2,), token_logprobs=logprobs)
    record = reply_to_record(reply, question(), key="k", capabilities=LLM, latency_s=0.0, n_attempts=1, at=0.0)
    bare = replace(record, key="bare", probabilities=None, token_logprobs=None)
    with open_journal(tmp_path / "journal.sqlite") as journal, open_reply_cache(tmp_path / "replies.sqlite") as cache:
        for row in (record, bare):
            journal.record_reply(row)
            cache.store(row)
    with open_journal(tmp_path / "journal.sqlite") as journal, open_reply_cache(tmp_path / "replies.sqlite") as cache:
        for found in (journal.find_reply("k"), cache.find("k")):
            assert found is not None
            assert reply_from_record(found) == reply
        for found in (journal.find_reply("bare"), cache.find("bare")):
            assert found is not None
            assert (reply_from_record(found).probabilities, reply_from_record(found).token_logprobs) == (None, None)


def test_asking_again_is_another_question() -> None:
    base = question()
    again = replace(base, messages=(*base.messages, Message("assistant", "hm"), Message("user", "once more")))
    other = replace(base, messages=(*base.messages, Message("assistant", "eh"), Message("user", "once more")))
    assert len({reply_key(LLM, request) for request in (base, again, other)}) == 3


def test_half_characters_are_replaced_before_anybody_sees_them() -> None:
    assert accept(Reply("a\ud800b", "m"), model="m")[0].text == "a?b"
