"""Lines of batch files: written, read back, and read from files that are packed or cut off."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, cast, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from autointerp.batch.lines import RawLine, custom_id, iter_lines, key_of, parse_result, render_request
from autointerp.errors import InputError
from autointerp.judges.endpoint.openai import OpenAIJudge, open_judge
from autointerp.judges.judge import Message, Request
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.score.listing import reply_schema

KEY = "0123456789abcdef" * 2
VLLM = json.loads((Path(__file__).parents[1] / "contracts" / "vllm.json").read_text())["models"]


def question(text: str = "text", **settings: Any) -> Request:
    task = ScoreTask("explanation", (Passage(text),))
    return Request(task, (Message("system", "You judge."), Message("user", text)), max_tokens=50, **settings)


def judge(**options: Any) -> OpenAIJudge:
    return open_judge("m", {"base_url": "http://127.0.0.1:9/v1", "key_env": "", "probe": "off", **options})


@pytest.mark.parametrize("dialect", ["openai", "vllm", "compatible"])
def test_a_request_line_is_what_the_sdk_types(dialect: str) -> None:
    asker = judge(dialect=dialect, extra_body={"user": "me"})
    request = question("שלום \u2028 << x >>", temperature=0.5, seed=7, reply_schema=reply_schema(2), want_logprobs=True)
    raw = render_request(KEY, asker.request_body(request))
    assert raw.endswith(b"\n")
    assert raw.count(b"\n") == 1
    line = json.loads(raw)
    assert set(line) == {"custom_id", "method", "url", "body"}
    assert (line["custom_id"], line["method"], line["url"]) == (f"autointerp-{KEY}", "POST", "/v1/chat/completions")
    body = TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(line["body"])
    messages = list(cast(Any, body["messages"]))  # pydantic checks an Iterable only as it is read
    assert [message["content"] for message in messages] == [message.content for message in request.messages]
    # and passes over fields that a TypedDict does not name
    assert set(line["body"]) <= set(get_type_hints(CompletionCreateParamsNonStreaming))
    assert line["body"]["user"] == "me"


def test_a_request_line_is_what_vllm_reads() -> None:
    request = question(temperature=0.5, seed=7, reply_schema=reply_schema(2), want_logprobs=True)
    line = json.loads(render_request(KEY, judge(dialect="vllm").request_body(request)))
    assert set(line) == set(VLLM["BatchRequestInput"]["fields"])
    assert set(line["body"]) <= set(VLLM["ChatCompletionRequest"]["fields"])
    assert {"input_file", "output_file"} <= set(VLLM["BatchFrontendArgs"]["fields"])


def test_half_characters_go_out_as_the_api_sends_them() -> None:
    line = json.loads(render_request(KEY, {"messages": [{"role": "user", "content": "a\ud800b"}]}))
    assert line["body"]["messages"][0]["content"] == "a?b"


@given(st.binary(min_size=16, max_size=16))
def test_a_key_comes_back_out_of_its_custom_id(raw: bytes) -> None:
    assert key_of(custom_id(raw.hex())) == raw.hex()
    assert len(custom_id(raw.hex())) <= 64


@pytest.mark.parametrize("name", ["", "request-1", KEY, f"autointerp-{KEY[:-1]}", f"autointerp-{KEY}0", "autointerp-"])
def test_other_names_are_nobodys_key(name: str) -> None:
    assert key_of(name) is None


def test_results_of_openai() -> None:
    good = parse_result(
        b'{"id": "b", "custom_id": "c", "response": {"status_code": 200, "request_id": "r", "body": {"x": 1}}, '
        b'"error": null}'
    )
    assert (good.custom_id, good.status, good.body) == ("c", 200, {"x": 1})
    bad = parse_result(
        b'{"custom_id": "c", "error": null, '
        b'"response": {"status_code": 400, "body": {"error": {"message": "too long"}}}}'
    )
    assert (bad.status, bad.body) == (400, {"error": {"message": "too long"}})
    late = parse_result(
        b'{"custom_id": "c", "response": null, "error": {"code": "batch_expired", "message": "too late"}}'
    )
    assert (late.status, late.reason) == (None, "batch_expired")
    other = parse_result(b'{"custom_id": "c", "response": null, "error": {"code": "oops", "message": "broke"}}')
    assert other.status == 500


def test_results_of_vllm() -> None:
    assert set(VLLM["BatchRequestOutput"]["fields"]) == {"id", "custom_id", "response", "error"}
    assert set(VLLM["BatchResponseData"]["fields"]) == {"status_code", "request_id", "body"}
    error = {"error": {"message": "too long", "type": "BadRequestError", "param": None, "code": 400}}
    for told in (error, "Request must not be sent in stream mode"):
        line = {"id": "vllm-1", "custom_id": "c", "response": {"status_code": 400, "request_id": "r", "body": None}}
        result = parse_result(json.dumps(line | {"error": told}).encode())
        assert (result.status, result.body) == (400, told)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "no JSON"),
        (b'{"custom_id": "c", "resp', "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'["custom_id"]', "no JSON object with a custom_id"),
        (b'{"response": {}}', "no JSON object with a custom_id"),
        (b'{"custom_id": 7, "response": {}}', "no JSON object with a custom_id"),
        (b'{"custom_id": "c", "method": "POST", "url": "/v1", "body": {}}', "a request, not a result"),
        (b'{"custom_id": "c", "response": null, "error": null}', "neither a response nor an error"),
        (b'{"custom_id": "c", "response": "gone"}', "a response without a status_code"),
        (b'{"custom_id": "c", "response": {"body": {}}}', "a response without a status_code"),
    ],
)
def test_lines_at_fault_say_what_is_wrong(line: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_result(line)


TEXT = b'{"a": 1}\n\n  \n{"b": "\xe2\x80\xa8"}\r\n{"c"'


@pytest.mark.parametrize("is_packed", [False, True])
def test_lines_keep_their_numbers_and_the_last_may_be_cut(tmp_path: Path, is_packed: bool) -> None:
    path = tmp_path / "lines"
    path.write_bytes(gzip.compress(TEXT) if is_packed else TEXT)
    assert list(iter_lines(path)) == [
        RawLine(1, b'{"a": 1}\n', False),
        RawLine(4, b'{"b": "\xe2\x80\xa8"}\r\n', False),
        RawLine(5, b'{"c"', True),
    ]


def test_a_packed_file_that_is_cut_off_says_so_after_what_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.gz"
    whole = gzip.compress(b"".join(b'{"n": %d}\n' % n for n in range(20_000)))
    path.write_bytes(whole[: len(whole) // 2])
    found = list(iter_lines(path))
    assert found[0].content == b'{"n": 0}\n'
    assert 1000 < len(found) < 19_000
    assert [line.is_cut for line in found[:-1]] == [False] * (len(found) - 1)
    assert found[-1].is_cut


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert list(iter_lines(tmp_path / "empty")) == []


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(iter_lines(tmp_path / name))
