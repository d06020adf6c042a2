"""The openai judge against a real local server: every failure is mapped, and no key ever leaks."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import warnings
from pathlib import Path
from typing import Any

import pytest

from autointerp.errors import ConfigError, JudgeError, JudgeRejected, JudgeRetry, JudgeStopped
from autointerp.judges.endpoint.openai import OpenAIJudge, open_judge
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client, Failure
from autointerp.judges.judge import Reply, Request
from autointerp.judges.kit.contract import check_judge
from autointerp.runs.journal import open_journal
from tests.judges.fault_server import Fault, FaultServer, a_share_fails, always, completion, content_hash
from tests.judges.loops import LeapingLoop
from tests.judges.personalities import BROKEN_REPLIES
from tests.judges.questions import FAST, limits, question

KEY = "sk-test-7f3a9c51d2e84b60"


def ask(server: FaultServer, request: Request | None = None, **options: Any) -> Reply:
    async def inner() -> Reply:
        judge = open_judge("some-model", {"base_url": server.base_url, "key_env": "", **options})
        try:
            return await judge.ask(request or question())
        finally:
            await judge.aclose()

    return asyncio.run(inner())


def fault(status: int, code: str | None = None, message: str = "on purpose", **headers: str) -> FaultServer:
    body = {"error": {"message": message, "code": code}}
    return FaultServer(plan=always(Fault("status", status=status, body=body, headers=headers)))


def raw(text: str) -> FaultServer:
    return FaultServer(plan=always(Fault("body", raw=text)))


def test_a_reply_with_its_usage_and_price() -> None:
    with FaultServer() as server:
        reply = ask(server, usd_per_million_input_tokens=1.0, usd_per_million_output_tokens=10.0)
    assert (reply.text, reply.model, reply.finish) == ("[1, 0]", "served-model", "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (100, 10)
    assert reply.usage.usd == pytest.approx(100e-6 + 100e-6)


def test_the_body_speaks_the_endpoints_dialect() -> None:
    schema = {"type": "object"}
    request = question(temperature=0.5, seed=7, reply_schema=schema, want_logprobs=True)
    with FaultServer() as server:
        ask(server, request)
        ask(
            server,
            request,
            token_limit_field="max_completion_tokens",
            reply_format="json_schema",
            top_logprobs=5,
            extra_body={"reasoning_effort": "low"},
            omit_fields=["temperature", "seed"],
        )
    plain, rich = server.bodies
    assert (plain["max_tokens"], plain["temperature"], plain["seed"]) == (50, 0.5, 7)
    assert "response_format" not in plain
    assert "logprobs" not in plain
    assert plain["messages"][1] == {"role": "user", "content": "Judge q."}
    assert (rich["max_completion_tokens"], rich["top_logprobs"], rich["reasoning_effort"]) == (50, 5, "low")
    assert rich["response_format"]["json_schema"]["schema"] == schema
    assert not {"temperature", "seed", "max_tokens"} & set(rich)


def test_options_that_change_replies_belong_to_the_key_and_others_do_not() -> None:
    def variant(**options: Any) -> str:
        return open_judge("m", {"base_url": "http://localhost:1/v1", **options}).capabilities.variant

    assert variant() == variant(timeout_s=3.0, max_concurrent=4) == ""
    assert len({variant(), variant(reply_format="json_object"), variant(extra_body={"top_p": 0.5})}) == 3


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_may_pass_is_to_be_retried(status: int) -> None:
    with fault(status) as server, pytest.raises(JudgeRetry, match=str(status)) as caught:
        ask(server)
    assert caught.value.retry_after_s is None
    assert not caught.value.is_connection


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_the_request_is_rejected(status: int) -> None:
    with fault(status, message="the prompt is too long") as server, pytest.raises(JudgeRejected, match="too long"):
        ask(server)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, None, "does not accept"),
        (403, None, "does not accept"),
        (402, None, "no credits"),
        (429, "insufficient_quota", "no credits"),
        (404, "model_not_found", "some-model"),
        (307, None, "redirects"),
    ],
)
def test_what_no_request_will_survive_stops_the_run(status: int, code: str | None, words: str) -> None:
    with fault(status, code) as server, pytest.raises(JudgeStopped, match=words):
        ask(server)


def test_the_pause_a_server_asks_for_is_read() -> None:
    for headers, seconds in (
        ({"Retry-After": "2.5"}, 2.5),
        ({"retry-after-ms": "300", "Retry-After": "1"}, 0.3),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"Retry-After": "0"}, None),
    ):
        with fault(429, **headers) as server, pytest.raises(JudgeRetry) as caught:
            ask(server)
        assert caught.value.retry_after_s == (None if seconds is None else pytest.approx(seconds))
        assert caught.value.is_unpaid


@pytest.mark.parametrize(
    "text",
    ["", '{"choices": [{"mess', "[]", "null", '{"choices": []}', '{"choices": [{}]}', '{"choices": null}', "<html>"],
)
def test_a_malformed_body_is_to_be_retried(text: str) -> None:
    with raw(text) as server, pytest.raises(JudgeRetry, match="body"):
        ask(server)


def test_an_error_inside_http_200_is_mapped_like_its_status() -> None:
    with raw('{"error": {"code": 402, "message": "x"}}') as server, pytest.raises(JudgeStopped, match="no credits"):
        ask(server)
    with raw('{"error": {"message": "overloaded"}}') as server, pytest.raises(JudgeRetry, match="overloaded"):
        ask(server)


@pytest.mark.parametrize("body", BROKEN_REPLIES.values(), ids=BROKEN_REPLIES)
def test_a_providers_error_inside_http_200_is_retried_and_kept_nowhere(body: dict[str, Any], tmp_path: Path) -> None:
    with raw(json.dumps(body)) as server, pytest.raises(JudgeRetry):
        ask(server)
    with pytest.raises(JudgeRetry):  # and so it is in a batch file
        OpenAIJudge("m", options=_options()).read_result(200, body)
    plan = lambda asked, n_before: Fault("body", raw=json.dumps(body)) if n_before < 2 else None  # noqa: E731
    with FaultServer(plan=plan) as server:
        ((reply,), _) = many(tmp_path, {"base_url": server.base_url}, 1)
    assert reply.text == "[1, 0]"
    with open_journal(tmp_path / "journal.sqlite") as journal:
        assert (journal.totals().n_replies, journal.totals().n_failed_attempts) == (1, 2)


def test_a_reply_that_was_broken_off_may_be_on_the_bill() -> None:
    free = {**completion("", finish="error"), "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    for body, is_unpaid in ((completion("[1", finish="error"), False), (free, True), ({"error": "busy"}, True)):
        with raw(json.dumps(body)) as server, pytest.raises(JudgeRetry) as caught:
            ask(server)
        assert caught.value.is_unpaid is is_unpaid


def test_an_empty_reply_that_a_model_made_is_one() -> None:
    thought = completion("", reasoning_content="hm")
    thought["usage"]["completion_tokens"] = 0
    for body in (completion(""), thought, completion("", finish="length"), {**completion(""), "usage": None}):
        with raw(json.dumps(body)) as server:
            assert ask(server).text == ""


def test_a_403_is_told_in_the_servers_own_words_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    words = r"\(403: Model m is not available in your region; seen \*\*\*\)"
    with (
        fault(403, message=f"Model m is not available in\nyour region; seen {KEY}") as server,
        pytest.raises(JudgeStopped, match=words),
    ):
        ask(server, key_env="MY_KEY")


def test_what_was_thought_is_counted_where_only_the_total_tells() -> None:
    body = completion("[1, 0]")
    body["usage"] |= {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 700}
    with raw(json.dumps(body)) as server:
        assert ask(server).usage.output_tokens == 600


@pytest.mark.parametrize(
    ("body", "finish", "text"),
    [
        (completion("cut", finish="length"), "length", "cut"),
        (completion("", finish="content_filter"), "refused", ""),
        ({**completion(""), "choices": [{"message": {"content": None, "refusal": "No."}}]}, "refused", "No."),
        ({"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"text": "b"}]}}]}, "stop", "ab"),
        ({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}, "stop", ""),
    ],
)
def test_finish_and_text_of_odd_completions(body: dict[str, Any], finish: str, text: str) -> None:
    with raw(json.dumps(body)) as server:
        reply = ask(server)
    assert (reply.finish, reply.text) == (finish, text)


def test_a_content_filters_error_is_a_refusal() -> None:
    with fault(400, "content_filter", "filtered") as server:
        assert ask(server).finish == "refused"


def test_logprobs_are_read() -> None:
    body = completion("1")
    body["choices"][0]["logprobs"] = {
        "content": [{"token": "1", "logprob": -0.1, "top_logprobs": [{"token": "0", "logprob": -2.4}, {"bad": 1}]}]
    }
    with raw(json.dumps(body)) as server:
        assert ask(server).token_logprobs == (("1", {"1": -0.1, "0": -2.4}),)


def test_a_hanging_server_is_timed_out_by_the_judge_itself() -> None:
    with FaultServer(plan=always(Fault("hang"))) as server, pytest.raises(JudgeRetry, match="in time"):
        ask(server, timeout_s=0.05)


def test_a_dropped_connection_counts_against_the_request_not_the_endpoint() -> None:
    with FaultServer(plan=always(Fault("drop"))) as server, pytest.raises(JudgeRetry) as caught:
        ask(server)
    assert not caught.value.is_connection


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def many(
    tmp_path: Path, options: dict[str, Any], n: int, *, hanging: FaultServer | None = None, **changes: Any
) -> tuple[list[Any], Client]:
    """Ask `n` questions through a client on a journal in `tmp_path`. Whenever all that is under way hangs in `hanging`,
    the time-out is over."""

    async def inner() -> tuple[list[Any], Client]:
        judge = open_judge("some-model", options)
        with open_journal(tmp_path / "journal.sqlite") as journal:
            settings = limits(**changes)
            client = Client(judge, journal=journal, cache=None, limits=settings, budget=Budget(), schedule=FAST)
            leaping = asyncio.ensure_future(leap_over_time_outs(client, hanging, settings.timeout_s))
            async with client:
                asked = (client.ask(question(f"q{i}")) for i in range(n))
                outcomes = await asyncio.gather(*asked, return_exceptions=True)
            leaping.cancel()
            return outcomes, client

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(inner())


async def leap_over_time_outs(client: Client, server: FaultServer | None, timeout_s: float) -> None:
    """No machine is so slow that what does not hang is timed out, nor that what hangs is before it has arrived."""
    loop, n_over = asyncio.get_running_loop(), 0
    assert isinstance(loop, LeapingLoop)
    while server is not None:
        n_hanging = server.n_faults["hang"] - n_over
        if n_hanging > 0 and n_hanging == client.counters.n_in_flight:
            n_over += n_hanging
            loop.leap(timeout_s)
        await asyncio.sleep(0.001)


def test_an_endpoint_that_is_down_stops_the_run_and_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}/v1"
    outcomes, client = many(tmp_path, {"base_url": url}, 40)
    assert all(isinstance(outcome, JudgeStopped) and url in str(outcome) for outcome in outcomes)
    assert client.counters.n_sent < 200


def test_a_third_of_the_calls_fail_and_every_question_gets_an_outcome(tmp_path: Path) -> None:
    with FaultServer(plan=a_share_fails(1 / 3)) as server:
        outcomes, client = many(tmp_path, {"base_url": server.base_url}, 150, hanging=server, timeout_s=60.0)
    assert sum(server.n_faults.values()) > 30
    assert {"429", "500", "hang", "truncated", "empty", "prose", "drop"} == set(server.n_faults)
    assert all(isinstance(outcome, Reply) for outcome in outcomes)
    assert client.counters.n_sent == sum(server.arrivals.values())
    with open_journal(tmp_path / "journal.sqlite") as journal:
        totals = journal.totals()
    assert totals.n_replies == 150
    assert totals.n_sent == sum(server.arrivals.values())


def test_when_nothing_ever_works_nothing_hangs(tmp_path: Path) -> None:
    with fault(500) as server:
        outcomes, _ = many(tmp_path, {"base_url": server.base_url}, 60, max_concurrent=4)
    assert all(isinstance(outcome, Failure | JudgeStopped) for outcome in outcomes)
    assert any(isinstance(outcome, JudgeStopped) for outcome in outcomes)
    assert len(server.arrivals) < 30


def test_a_server_at_its_rate_limit_loses_no_question(tmp_path: Path) -> None:
    """16 at once against a server that lets one content through only at its 20th call: pauses are no attempts."""
    plan = lambda body, n_before: Fault("429", headers={"Retry-After": "0.03"}) if n_before < 20 else None  # noqa: E731
    with FaultServer(plan=plan) as server:
        outcomes, _ = many(tmp_path, {"base_url": server.base_url}, 8)
    assert all(isinstance(outcome, Reply) for outcome in outcomes)


def test_a_wrong_key_stops_at_once_and_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned, FaultServer(key="another") as server:
        outcomes, client = many(tmp_path, {"base_url": server.base_url, "key_env": "MY_KEY"}, 50, max_concurrent=4)
    assert all(isinstance(outcome, JudgeStopped) and "MY_KEY" in str(outcome) for outcome in outcomes)
    assert client.counters.n_sent <= 4
    seen = [caplog.text, *capfd.readouterr(), *(repr(o) for o in outcomes), *(str(w.message) for w in warned)]
    assert not any(KEY in text for text in seen)
    for file in tmp_path.rglob("*"):
        assert KEY.encode() not in file.read_bytes(), file


def test_a_server_that_repeats_the_key_in_its_errors_does_not_leak_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with fault(500, message=f"bad header Bearer {KEY}") as server:
        outcomes, _ = many(tmp_path, {"base_url": server.base_url, "key_env": "MY_KEY"}, 3)
    assert all("***" in outcome.message and KEY not in outcome.message for outcome in outcomes)
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "server",
    [
        fault(402, code=KEY),
        fault(302, Location=f"http://elsewhere/?key={KEY}"),
        FaultServer(answer=lambda _: f"your key is {KEY}"),
    ],
    ids=["code", "redirect", "reply"],
)
def test_a_key_in_any_other_place_is_kept_nowhere(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with server:
        outcomes, _ = many(tmp_path, {"base_url": server.base_url, "key_env": "MY_KEY", "probe": "off"}, 3)
    assert not any(KEY in repr(outcome) for outcome in outcomes)
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.rglob("*"))


def test_the_right_key_is_sent_and_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", f"{KEY}\n")
    with FaultServer(key=KEY) as server:
        outcomes, _ = many(tmp_path, {"base_url": server.base_url, "key_env": "MY_KEY"}, 3)
    assert all(isinstance(outcome, Reply) for outcome in outcomes)
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.rglob("*"))


def test_no_credits_stop_the_run(tmp_path: Path) -> None:
    with fault(429, "insufficient_quota", **{"Retry-After": "1"}) as server:
        outcomes, client = many(tmp_path, {"base_url": server.base_url}, 50, max_concurrent=4)
    assert all(isinstance(outcome, JudgeStopped) and "no credits" in str(outcome) for outcome in outcomes)
    assert client.counters.n_sent <= 4


@pytest.mark.parametrize("value", [KEY, "gsk_abcdefghijkl", "AIzaSyD-1234", "a b", "My-Key"])
def test_a_key_in_place_of_a_variable_name_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(ConfigError, match="key_env") as caught:
        open_judge("m", {"key_env": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_ulr": "x"}, "did you mean 'base_url'"),
        ({"base_url": "localhost:8000"}, "http://"),
        ({"base_url": f"https://user:{KEY}@host/v1"}, "user name"),
        ({"extra_body": {"api_key": KEY}}, "looks like a secret"),
        ({"reply_format": "yaml"}, "reply_format"),
        ({"base_url": "https://api.example.com/v1", "key_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE"),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        open_judge("m", options)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_model_is_needed() -> None:
    with pytest.raises(ConfigError, match="openai:MODEL"):
        open_judge(None, {})


def test_the_bound_on_the_price_is_no_less_than_the_price() -> None:
    judge = OpenAIJudge("m", options=_options(usd_per_million_input_tokens=1e6, usd_per_million_output_tokens=2e6))
    bound = judge.bound_usd(question())
    assert bound is not None
    assert bound >= len("Judge.Judge q.") + 2 * 50
    assert OpenAIJudge("m", options=_options()).bound_usd(question()) == 0.0


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"usd_per_million_input_tokens": 1.0}, "usd_per_million_output_tokens"),
        ({"usd_per_million_output_tokens": 1.0}, "usd_per_million_input_tokens"),
        ({"usd_per_million_cached_input_tokens": 1.0}, "usd_per_million_input_tokens"),
    ],
)
def test_one_price_without_the_other_is_refused(options: dict[str, float], missing: str) -> None:
    """The other would count as free, and a ceiling in dollars would be none."""
    with pytest.raises(ConfigError, match=rf"judges\.openai: {missing} is missing") as caught:
        open_judge("m", {"base_url": "http://localhost:9/v1", **options})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cached", "cost", "usd"),
    [
        (None, None, 100 * 2.0 + 10 * 8.0),
        (None, 0.25, 0.25e6),
        (None, 0, 0.0),
        (None, -1, 100 * 2.0 + 10 * 8.0),
        (None, "free", 100 * 2.0 + 10 * 8.0),
        (0.5, None, 60 * 2.0 + 40 * 0.5 + 10 * 8.0),
        (0.0, None, 60 * 2.0 + 10 * 8.0),
    ],
)
def test_what_a_reply_costs(cached: float | None, cost: Any, usd: float) -> None:
    """A cost that the endpoint states is believed; input from its cache has a price of its own, where one is given."""
    body = completion("[1, 0]")
    body["usage"] |= {"prompt_tokens_details": {"cached_tokens": 40}, "cost": cost}
    prices = {
        "usd_per_million_input_tokens": 2.0,
        "usd_per_million_cached_input_tokens": cached,
        "usd_per_million_output_tokens": 8.0,
    }
    with raw(json.dumps(body)) as server:
        usage = ask(server, **prices).usage
    assert usage.cached_tokens == 40
    assert usage.usd == pytest.approx(usd / 1e6)


def test_an_error_in_a_list_is_read() -> None:
    """As Google writes them."""
    body = [{"error": {"code": 400, "message": "Unknown name 'seed': Cannot find field."}}]
    plan = always(Fault("status", status=400, body=body))
    with FaultServer(plan=plan) as server, pytest.raises(JudgeRejected, match="Unknown name 'seed'"):
        ask(server)


def _options(**options: Any) -> Any:
    from autointerp.judges.endpoint.endpoint import OpenAIOptions

    return OpenAIOptions(base_url="http://localhost:9/v1", **options)


def test_it_keeps_the_contract() -> None:
    async def inner(server: FaultServer) -> Any:
        return await check_judge(open_judge("m", {"base_url": server.base_url}), timeout_s=5.0)

    with FaultServer(delay_s=0.001) as server:
        results = asyncio.run(inner(server))
    assert [result for result in results if result.is_passed is False] == []
    assert server.arrivals[content_hash(server.bodies[0])] >= 1


def test_errors_are_of_this_package_only() -> None:
    """Whatever a server sends, `ask` raises nothing the loop does not know."""
    message, huge = {"message": {"content": "x"}}, int("9" * 400)
    odd = [
        {"choices": [{**message, "logprobs": {"content": [1]}}], "usage": {"prompt_tokens": "a"}},
        {"choices": [{**message, "logprobs": {"content": [{"token": 1, "logprob": huge, "top_logprobs": 5}]}}]},
        {"choices": [message], "usage": {"prompt_tokens": huge, "completion_tokens": -1, "cost": huge}},
        {"choices": [message], "usage": {"prompt_tokens": 1, "cost": 1e308}},
        {"choices": [{**message, "error": 3, "finish_reason": {}, "native_finish_reason": []}]},
        {"error": {"code": huge}},
    ]
    for body in [*odd, {"choices": [1]}, {"choices": {"a": 1}}, {"usage": []}, 3, "x", {"error": []}, "[" * 100_000]:
        with raw(body if isinstance(body, str) and body[0] == "[" else json.dumps(body)) as server:
            try:
                ask(server)
            except JudgeError:
                continue
