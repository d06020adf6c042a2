"""What we send to vLLM's servers, and what we read from them, held against the models recorded from the real wheel.

vLLM takes fields that it does not know and ignores them, so a misspelt one would never be noticed otherwise.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from autointerp.batch.lines import parse_result, render_request
from autointerp.config.asking import LimitsConfig, ScoreConfig
from autointerp.judges.endpoint.decisions import MOST_QUESTIONS, decision_body, read_decisions
from autointerp.judges.endpoint.openai import open_judge
from autointerp.judges.judge import Message, Request
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.plugins import open_judge as open_any
from autointerp.score.listing import reply_schema
from tests.contracts.record_vllm import VERSION
from tests.contracts.vllm_record import RECORD, FakeVllm, breaches, fields

ROOT = Path(__file__).parents[2]
SERVED = {"base_url": "http://localhost:8000/v1", "key_env": ""}


def request(n: int = 3, **changes: Any) -> Request:
    task = ScoreTask("the word cat", tuple(Passage(f"text {i}") for i in range(n)))
    messages = (Message("system", "Judge."), Message("user", "Which?"))
    rich = {"temperature": 0.5, "seed": 7, "want_logprobs": True, "reply_schema": reply_schema(n)}
    return Request(task, messages, **{"max_tokens": 50, **rich, **changes})


def test_the_record_is_of_the_pinned_wheel() -> None:
    assert (RECORD["version"], len(RECORD["sha256"])) == (VERSION, 64)
    assert RECORD["wheel"].startswith(f"vllm-{VERSION}-")


def test_the_extra_takes_the_recorded_release_and_needs_an_environment_of_its_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extra,) = (Requirement(line) for line in project["optional-dependencies"]["vllm"])
    assert (extra.name, extra.specifier.contains(VERSION)) == ("vllm", True)
    pins = {Requirement(line).name: Requirement(line).specifier for line in RECORD["requires"]}
    assert not pins["transformers"].contains(version("transformers"))
    base = {Requirement(line).name: Requirement(line) for line in project["dependencies"]}
    assert "transformers" not in base
    assert "torch" not in base


@pytest.mark.parametrize("token_limit_field", ["max_tokens", "max_completion_tokens"])
def test_every_field_of_a_chat_request_is_known(token_limit_field: str) -> None:
    options = {"reply_format": "json_schema", "top_logprobs": 5, "token_limit_field": token_limit_field}
    more = {"logprob_token_ids": [15, 16], "chat_template_kwargs": {"enable_thinking": False}}
    judge = open_judge("m", {**SERVED, **options, "decisions": "never", "extra_body": more})
    body = judge.request_body(request())
    assert {"response_format", "logprobs", "top_logprobs", "seed", token_limit_field} <= body.keys()
    assert breaches("ChatCompletionRequest", body) == []
    assert breaches("ResponseFormat", body["response_format"]) == []
    assert breaches("JsonSchemaResponseFormat", body["response_format"]["json_schema"]) == []
    assert breaches("ChatCompletionRequest", {**body, "max_output_tokens": 5}) != []


def test_a_batch_line_is_a_batch_request() -> None:
    judge = open_judge("m", {**SERVED, "reply_format": "json_schema", "decisions": "never"})
    line = json.loads(render_request("0" * 32, judge.request_body(request())))
    assert breaches("BatchRequestInput", line) == []
    assert breaches("ChatCompletionRequest", line["body"]) == []
    assert f"{line['method']} {line['url']}" in RECORD["routes"]


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_batch_result_is_read(is_answered: bool) -> None:
    response: dict[str, Any] = {"status_code": 200 if is_answered else 400, "request_id": "r", "body": None}
    if is_answered:
        message = {"role": "assistant", "content": "[1]"}
        response["body"] = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "model": "m"}
    error = None if is_answered else {"message": "too long", "type": "BadRequestError", "code": 400}
    line = {"id": "x", "custom_id": "autointerp-" + "0" * 32, "response": response, "error": error}
    assert breaches("BatchRequestOutput", line) == []
    assert breaches("BatchResponseData", {**response, "body": None}) == []
    result = parse_result(json.dumps(line).encode())
    assert (result.status, result.body) == (response["status_code"], response["body"] or error)


def test_a_request_for_decisions_is_one_and_its_answer_is_read() -> None:
    body = decision_body(request(n=5), model="m")
    assert breaches("DecisionRequest", body) == []
    assert [breaches("PredicateQuestion", question) for question in body["questions"]] == [[]] * 5
    assert "POST /v1/decisions" in RECORD["routes"]
    answers = [{"type": "predicate", "name": None, "probability": p} for p in (0.1, 0.9)]
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {},
        "output_tokens": 2,
        "output_tokens_details": {},
        "total_tokens": 11,
    }
    said = {"model": "m", "answers": answers, "usage": usage}
    assert breaches("DecisionResponse", said) == []
    assert [breaches("PredicateAnswer", answer) for answer in answers] == [[], []]
    assert breaches("OpenAIDecisionUsage", usage) == []
    reply = read_decisions(said, {}, n=2, model="m", price=lambda **_: 0.0)
    assert reply.probabilities == (0.1, 0.9)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (9, 2)
    assert min(RECORD["most_questions"]) >= MOST_QUESTIONS


def test_the_flags_of_the_recipes_are_known() -> None:
    assert all(RECORD["flags"].values())
    assert {"input_file", "output_file"} <= fields("BatchFrontendArgs").keys()


def test_what_a_model_does_not_know_misses_or_has_as_another_type_is_found() -> None:
    line = {"custom_id": "x", "method": "POST", "url": "/v1/chat/completions", "body": {}}
    assert breaches("BatchRequestInput", line) == []
    assert breaches("BatchRequestInput", {**line, "bodies": {}}) == ["bodies is unknown to BatchRequestInput"]
    del line["method"]
    assert breaches("BatchRequestInput", line) == ["method is missing"]
    assert breaches("BatchRequestInput", {**line, "method": 3})[0].startswith("method = 3")
    assert breaches("ResponseFormat", {"type": "json"}) != []
    assert breaches("ChatCompletionRequest", {"messages": [], "seed": True}) != []


def test_the_recipes_name_options_and_flags_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in FakeVllm(lambda *_: ("", "stop", {})).modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    text = (ROOT / "docs/vllm.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        recipe = tomllib.loads(block)
        LimitsConfig.model_validate(recipe.get("limits", {}))
        ScoreConfig.model_validate(recipe["score"])
        ((name, options),) = recipe["judges"].items()
        assert recipe["score"]["judge"].startswith(f"{name}:")
        open_any(recipe["score"]["judge"], options)
    known = RECORD["flags"].keys() | {"--model", "--port"}
    flags = set(re.findall(r"(?<= )--[a-z-]+", "\n".join(re.findall(r"bin/vllm (.*(?:\\\n.*)*)", text))))
    assert flags
    assert flags <= known
