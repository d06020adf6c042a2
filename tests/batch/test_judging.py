from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autointerp.batch.judging import BatchJudge, judge_of, open_batch_judge
from autointerp.errors import JudgeRejected
from autointerp.judges.endpoint.openai import OpenAIJudge, open_judge
from autointerp.judges.judge import Message, Request
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.score.listing import reply_schema
from tests.batch.world import World


def judge(**options: Any) -> OpenAIJudge:
    return open_judge("m", {"base_url": "http://127.0.0.1:9/v1", "key_env": "", **options})


def question() -> Request:
    task = ScoreTask("explanation", (Passage("text"),))
    return Request(task, (Message("user", "text"),), 50, reply_schema=reply_schema(1), want_logprobs=True)


def test_each_stage_has_its_own_judge(tmp_path: Path) -> None:
    world = World.make(tmp_path / "run", overrides=["score.judge='openai:other'"])
    assert [judge_of(world.config, stage) for stage in ("explain", "score")] == ["openai:served", "openai:other"]
    with open_batch_judge(world.config, world.layout, "score") as found:
        assert isinstance(found, BatchJudge)
        assert found.capabilities.model == "other"


def test_what_is_settled_once_holds_for_the_run(tmp_path: Path) -> None:
    first = judge(dialect="vllm")
    first.settle(run=tmp_path)
    (memory,) = tmp_path.iterdir()
    found = json.loads(memory.read_text())
    found["found"]["wire"] |= {"reply_format": "json_object", "token_limit_field": "max_tokens"}
    memory.write_text(json.dumps(found))
    again = judge(dialect="vllm")
    again.settle(run=tmp_path)
    assert again.request_body(question())["response_format"] == {"type": "json_object"}
    assert again.request_body(question())["max_tokens"] == 50
    assert again.capabilities.variant != first.capabilities.variant


def test_a_question_for_another_address_fits_no_file(tmp_path: Path) -> None:
    judge(dialect="vllm").settle(run=tmp_path)
    (memory,) = tmp_path.iterdir()
    found = json.loads(memory.read_text())
    found["found"]["wire"]["has_decisions"] = True
    memory.write_text(json.dumps(found))
    deciding = judge(dialect="vllm")
    deciding.settle(run=tmp_path)
    with pytest.raises(JudgeRejected, match=r"a request for /decisions; judges.openai.decisions = 'never'"):
        deciding.request_body(question())


def test_where_nothing_is_probed_nothing_is_remembered(tmp_path: Path) -> None:
    judge(probe="off").settle(run=tmp_path)
    assert list(tmp_path.iterdir()) == []
