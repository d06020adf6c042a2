"""Probing goes by what comes back: each kind of server is found out, remembered, and asked accordingly."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from autointerp.errors import JudgeRejected, JudgeRetry, JudgeStopped, LimitReached
from autointerp.judges.endpoint import probing
from autointerp.judges.endpoint.dialects import DIALECTS
from autointerp.judges.endpoint.openai import OpenAIJudge, open_judge
from autointerp.judges.endpoint.probing import find_out
from autointerp.judges.engine.budget import Budget
from autointerp.judges.judge import Capabilities, Reply
from autointerp.score.listing import reply_schema
from tests.judges.fault_server import Fault, FaultServer, Said, always, completion
from tests.judges.personalities import KINDS_OF_SERVER, SYSTEM_REFUSALS, Kind
from tests.judges.questions import question

KEY = "sk-test-0d5be0a1c64f4f9e"
PRICES: dict[str, Any] = {"usd_per_million_input_tokens": 1.0, "usd_per_million_output_tokens": 1.0}


class Probing:
    """One judge's probing of a server, and a scoring question put to it afterwards."""

    def __init__(
        self,
        server: FaultServer,
        *,
        run: Path | None = None,
        cache: Path | None = None,
        budget: Budget | None = None,
        is_asked: bool = True,
        **options: Any,
    ) -> None:
        self.said: list[str] = []
        self.reply: Reply | None = None
        self.n_probes = 0
        self.judge: OpenAIJudge = open_judge("m", {"base_url": server.base_url, "key_env": "", **options})

        async def inner() -> None:
            try:
                await self.judge.probe(run=run, cache=cache, budget=budget or Budget(), say=self.said.append)
                self.n_probes = len(server.bodies)
                if is_asked:
                    self.reply = await self.judge.ask(question(reply_schema=reply_schema(2), want_logprobs=True))
            finally:
                await self.judge.aclose()

        asyncio.run(inner())
        self.sent = server.bodies[-1]

    @property
    def capabilities(self) -> Capabilities:
        return self.judge.capabilities


def probed(kind: Kind, **options: Any) -> Probing:
    with FaultServer(personality=kind) as server:
        return Probing(server, **options)


@pytest.mark.parametrize(
    ("name", "form", "has_logprobs", "limit", "most_requests", "words"),
    [
        ("honours all", "json_schema", True, "max_tokens", 3, "json_schema honoured, logprobs honoured"),
        ("ignores logprobs", "json_schema", False, "max_tokens", 3, "logprobs ignored"),
        ("breaks on a schema", "json_object", True, "max_tokens", 5, "json_schema refused, json_object honoured"),
        ("breaks on any format", None, True, "max_tokens", 7, "json_object refused"),
        ("ignores max_tokens", "json_schema", True, "max_completion_tokens", 4, "max_tokens ignored"),
        ("ignores every limit", "json_schema", True, "max_tokens", 4, "dearer"),
        ("a reasoning model", "json_schema", False, "max_completion_tokens", 6, "temperature refused"),
        ("ignores all but the limit", None, False, "max_tokens", 4, "json_schema ignored, json_object ignored"),
        ("knows json_object only", "json_object", True, "max_tokens", 4, "json_schema ignored, json_object honoured"),
        ("refuses what it does not know", None, False, "max_tokens", 6, "logprobs refused"),
        ("packs its replies", "json_schema", True, "max_tokens", 3, "json_schema honoured"),
    ],
)
def test_each_kind_of_server_is_found_out_and_asked_accordingly(
    name: str, form: str | None, has_logprobs: bool, limit: str, most_requests: int, words: str
) -> None:
    found = probed(KINDS_OF_SERVER[name])
    assert found.n_probes <= most_requests
    assert found.sent.get("response_format", {}).get("type") == form
    assert ("logprobs" in found.sent) is has_logprobs is found.capabilities.has_logprobs
    assert found.capabilities.has_schema is (form == "json_schema")
    assert limit in found.sent
    assert len(found.said) == 1
    assert words in found.said[0]
    assert "\n" not in found.said[0]
    assert found.reply is not None
    assert (found.reply.token_logprobs is not None) is has_logprobs
    if form == "json_schema":
        assert json.loads(found.reply.text) == {"answers": [1, 0]}


def test_a_server_that_ignores_openais_limit_gets_the_older_one() -> None:
    found = probed(KINDS_OF_SERVER["ignores max_completion_tokens"], dialect="openai")
    assert "max_tokens" in found.sent
    assert "max_completion_tokens ignored, max_tokens honoured" in found.said[0]


def test_a_model_that_takes_no_temperature_is_sent_none() -> None:
    found = probed(KINDS_OF_SERVER["a reasoning model"], dialect="openai")
    assert "temperature" not in found.sent
    assert '"omit_fields": ["temperature"]' in found.capabilities.variant


def test_a_model_that_thinks_is_told() -> None:
    thinking, plain = (probed(Kind(n_thoughts=n), is_asked=False).said[0] for n in (400, 0))
    assert "thinks some 3" in thinking
    assert "so that requests may take 2,048 more than max_tokens" in thinking
    assert "thinks" not in plain


def test_a_model_that_thinks_gets_room_for_it_and_its_replies_arrive_whole() -> None:
    """Under a limit of 50 every reply was paid for and cut."""
    found = probed(KINDS_OF_SERVER["thinks for long"], token_limit_field="max_tokens")
    assert found.sent["max_tokens"] == 50 + 4096
    assert found.reply is not None
    assert (found.reply.finish, json.loads(found.reply.text)) == ("stop", {"answers": [1, 0]})
    assert '"thinking_tokens": 4096' in found.capabilities.variant, "another limit is another question"
    prices = {"usd_per_million_input_tokens": 0.0, "usd_per_million_output_tokens": 1e6}
    assert probed(KINDS_OF_SERVER["thinks for long"], **prices).judge.bound_usd(question()) == 50 + 4096


@pytest.mark.parametrize("room", [0, 7])
def test_room_to_think_can_be_set_and_taken_away(room: int) -> None:
    found = probed(KINDS_OF_SERVER["thinks for long"], thinking_tokens=room, dialect="vllm")
    assert found.sent["max_completion_tokens"] == 50 + room
    assert "thinks some 8" in found.said[0]
    assert "more than max_tokens" not in found.said[0]


def test_a_context_too_short_for_thinking_is_told_with_the_option() -> None:
    def short(path: str, body: dict[str, Any]) -> Said:
        if body.get("max_tokens", 0) > 2000:
            return Said({"error": {"message": "This model's maximum context length is 2000 tokens"}}, status=400)
        return KINDS_OF_SERVER["thinks for long"](path, body)

    with (
        FaultServer(personality=short) as server,
        pytest.raises(JudgeRejected, match=r"thinking_tokens = 4096 can be set to less"),
    ):
        Probing(server)


@pytest.mark.parametrize("name", [name for name in KINDS_OF_SERVER if "of the system" in name or "refuses it" in name])
def test_a_message_of_the_system_that_is_refused_joins_the_users(name: str) -> None:
    found = probed(KINDS_OF_SERVER[name])
    assert found.n_probes <= 7
    assert "message of the system refused, it joins the user's" in found.said[0]
    assert [message["role"] for message in found.sent["messages"]] == ["user"]
    assert found.sent["messages"][0]["content"] == "Judge.\n\nJudge q."
    assert '"fold_system": true' in found.capabilities.variant, "the key of a request tells"
    assert found.capabilities.has_schema is ("knows no schema" not in name)
    assert found.capabilities.has_logprobs


@pytest.mark.parametrize("words", SYSTEM_REFUSALS)
def test_a_refusal_of_the_system_is_known_by_its_words(words: str) -> None:
    found = probed(Kind(system="refuse", system_words=words))
    assert (found.n_probes, found.sent["messages"][0]["role"]) == (4, "user")


def test_who_takes_a_message_of_the_system_gets_one() -> None:
    with FaultServer(personality=Kind()) as server:
        Probing(server)
        assert all(body["messages"][0]["role"] == "system" for body in server.bodies if "messages" in body)


def test_without_a_probe_a_refused_system_is_told_with_the_option_that_mends_it() -> None:
    refuses = Kind(system="refuse")
    with FaultServer(personality=refuses) as server:
        with pytest.raises(JudgeRejected, match=r"System role not supported; set judges\.openai\.fold_system = true"):
            Probing(server, probe="off")
        assert Probing(server, probe="off", fold_system=True).reply is not None


def test_a_server_that_keeps_silent_is_told_of_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_SILENT_S", 0.02)
    said: list[str] = []

    async def slow(path: str, body: dict[str, Any]) -> Any:
        await asyncio.sleep(0.06)
        return Kind()(path, body).body, {}

    wire = DIALECTS["compatible"].wire("m")
    settled: dict[str, Any] = {"pinned": frozenset({"token_limit_field"}), "body": {}, "may_decide": False}
    asyncio.run(find_out(slow, model="m", wire=wire, timeout_s=9.0, say=said.append, **settled))
    assert said == ["no reply to probe 1 for 0.02 s; waiting up to 9 s for it"]


def test_decisions_are_used_where_they_tell_and_probabilities_are_wanted() -> None:
    found = probed(KINDS_OF_SERVER["decides"])
    assert [q["type"] for q in found.sent["questions"]] == ["predicate"] * 2
    assert found.sent["input"] == "Judge.\n\nJudge q."
    assert found.reply is not None
    assert found.reply.probabilities == pytest.approx((0.1, 0.9))
    assert json.loads(found.reply.text) == [0, 1]
    assert (found.reply.usage.input_tokens, found.reply.usage.cached_tokens) == (100, 40)
    assert "messages" in probed(KINDS_OF_SERVER["decides without telling"]).sent
    assert "messages" in probed(KINDS_OF_SERVER["decides"], decisions="never").sent


def test_decisions_are_for_scoring_questions_that_want_probabilities() -> None:
    async def inner(server: FaultServer) -> None:
        judge = open_judge("m", {"base_url": server.base_url})
        await judge.probe(run=None, cache=None, budget=Budget(), say=lambda _: None)
        await judge.ask(question(want_logprobs=False, reply_schema=reply_schema(2)))
        await judge.aclose()

    with FaultServer(personality=KINDS_OF_SERVER["decides"]) as server:
        asyncio.run(inner(server))
        assert "messages" in server.bodies[-1]


def test_what_an_option_settles_is_not_asked() -> None:
    found = probed(Kind(), reply_format="none", top_logprobs=0, omit_fields=[], token_limit_field="max_tokens")
    assert found.n_probes == 2  # one plain request, and whether there are decisions
    assert "response_format" not in found.sent
    everything: dict[str, Any] = {
        "token_limit_field": "max_tokens",
        "omit_fields": [],
        "top_logprobs": 0,
        "reply_format": "none",
    }
    assert probed(Kind(), decisions="never", **everything).n_probes == 0
    assert probed(Kind(), probe="off").n_probes == 0
    pinned = probed(KINDS_OF_SERVER["ignores all but the limit"], reply_format="json_schema")
    assert pinned.sent["response_format"]["type"] == "json_schema"


def test_a_finding_is_remembered_with_its_date_and_holds_for_equal_questions(tmp_path: Path) -> None:
    places: dict[str, Any] = {"run": tmp_path / "run", "cache": tmp_path / "cache"}
    with FaultServer(personality=Kind()) as server:
        first = Probing(server, **places)
        n = len(server.bodies)
        second = Probing(server, **places)
        assert len(server.bodies) == n + 1  # its question
        assert "remembered from 20" in second.said[0]
        assert second.capabilities == first.capabilities
        again = Probing(server, probe="again", **places)
        assert again.n_probes > n + 1
        assert "probed with" in again.said[0]
    (file,) = (tmp_path / "cache").iterdir()
    assert (tmp_path / "run" / file.name).read_bytes() == file.read_bytes()
    kept = json.loads(file.read_text())
    assert kept["about"]["model"] == "m"
    assert kept["found"]["wire"]["reply_format"] == "json_schema"
    assert "json_schema honoured" in kept["found"]["seen"]


def test_a_run_keeps_its_finding_whatever_the_cache_or_the_server_becomes(tmp_path: Path) -> None:
    """What is asked a second time must be the same, or it would be paid for again."""
    run, cache = tmp_path / "run", tmp_path / "cache"
    kinds = iter([Kind(), KINDS_OF_SERVER["ignores all but the limit"]])
    now = [next(kinds)]
    with FaultServer(personality=lambda path, body: now[0](path, body)) as server:
        first = Probing(server, run=run, cache=cache)
        now[0] = next(kinds)
        for file in cache.iterdir():
            file.unlink()
        assert Probing(server, run=run, cache=cache).capabilities == first.capabilities
        assert Probing(server, run=tmp_path / "new", cache=cache).capabilities != first.capabilities


def test_a_run_goes_on_as_it_began_before_systems_and_thinking_were_asked(tmp_path: Path) -> None:
    """Or its journal would be found under no key, and paid for again."""
    with FaultServer(personality=KINDS_OF_SERVER["thinks for long"]) as server:
        first = Probing(server, run=tmp_path)
        (file,) = tmp_path.iterdir()
        kept = json.loads(file.read_text())
        kept["schema_version"] = 1
        for name in ("answered_by", "serves"):
            del kept["found"][name]
        for name in ("fold_system", "thinking_tokens"):
            del kept["found"]["wire"][name]
        file.write_text(json.dumps(kept))
        again = Probing(server, run=tmp_path)
    assert "remembered from" in again.said[0]
    assert again.sent["max_tokens"] == 50
    assert "thinking" in first.capabilities.variant
    assert "thinking" not in again.capabilities.variant


def test_an_old_or_damaged_finding_of_the_cache_is_asked_anew(tmp_path: Path) -> None:
    with FaultServer(personality=Kind()) as server:
        Probing(server, cache=tmp_path)
        (file,) = tmp_path.iterdir()
        for content in (
            file.read_text().replace('"at": "20', '"at": "19'),
            file.read_text()[:50],
            "[]",
            file.read_text().replace('"schema_version": 2', '"schema_version": 1'),
        ):
            file.write_text(content)
            assert "probed with" in Probing(server, cache=tmp_path).said[0]


def test_a_finding_is_of_one_model_endpoint_and_set_of_options(tmp_path: Path) -> None:
    with FaultServer(personality=Kind()) as server:
        choices: tuple[dict[str, Any], ...] = (
            {},
            {"extra_body": {"top_p": 0.5}},
            {"reply_format": "none"},
            {"dialect": "vllm"},
        )
        for options in choices:
            assert "probed with" in Probing(server, cache=tmp_path, **options).said[0], options
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with FaultServer(personality=Kind()) as server:
        assert Probing(server, cache=tmp_path / "file" / "probes").capabilities.has_schema


def test_probes_count_against_the_ceilings() -> None:
    with FaultServer(personality=Kind()) as server:
        budget = Budget(max_requests=10)
        Probing(server, budget=budget, is_asked=False, **PRICES)
        assert budget.n_requests == len(server.bodies) == 3
        assert 0.0 < budget.spent_usd < 0.01
        with pytest.raises(LimitReached, match="max_requests = 1"):
            Probing(server, budget=Budget(max_requests=1))


def test_an_endpoint_that_is_busy_is_waited_for() -> None:
    n_busy = [2]

    def busy_at_first(path: str, body: dict[str, Any]) -> Said:
        n_busy[0] -= 1
        return Said({"error": {"message": "busy"}}, status=429) if n_busy[0] >= 0 else Kind()(path, body)

    with FaultServer(personality=busy_at_first) as server:
        assert "json_schema honoured" in Probing(server).said[0]


def test_an_endpoint_that_gives_no_answer_is_asked_as_its_dialect_promises(tmp_path: Path) -> None:
    with FaultServer(plan=always(Fault("429"))) as server:
        found = Probing(server, cache=tmp_path, is_asked=False, dialect="vllm")
    assert "could not be probed (HTTP 429" in found.said[0]
    assert found.capabilities.has_schema
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("status", "words"), [(401, "does not accept"), (402, "no credits"), (302, "redirects")])
def test_what_no_request_will_survive_is_told_at_once(status: int, words: str) -> None:
    with FaultServer(plan=always(Fault("status", status=status))) as server:
        with pytest.raises(JudgeStopped, match=words):
            Probing(server)
        assert len(server.bodies) == 1


def test_an_unknown_model_is_told_after_one_request() -> None:
    body = {"error": {"code": "model_not_found", "message": "no such model"}}
    with FaultServer(plan=always(Fault("status", status=404, body=body))) as server:
        with pytest.raises(JudgeStopped, match="does not know model 'm'"):
            Probing(server)
        assert len(server.bodies) == 1


def test_an_endpoint_that_refuses_everything_ends_in_a_bounded_number_of_requests() -> None:
    with FaultServer(plan=always(Fault("status", status=400, body={"error": {"message": "no"}}))) as server:
        found = Probing(server, is_asked=False)
        assert "could not be probed (HTTP 400: no)" in found.said[0]
        assert len(server.bodies) <= 10
        with pytest.raises(JudgeRejected, match="HTTP 400: no"):
            Probing(server)


def test_one_fault_of_the_server_is_not_blamed_on_a_field() -> None:
    faults = iter([Said("oops", status=500)])

    def once(path: str, body: dict[str, Any]) -> Said:
        return next(faults, None) or Kind()(path, body)

    with FaultServer(personality=once) as server:
        assert Probing(server).capabilities.has_schema


def test_an_endpoint_that_never_replies_is_not_waited_for_for_ever() -> None:
    n_sent = [0]

    async def hang(path: str, body: dict[str, Any]) -> Any:
        n_sent[0] += 1
        await asyncio.sleep(3600)

    wire = DIALECTS["compatible"].wire("m")
    asked = find_out(hang, model="m", wire=wire, pinned=frozenset(), body={}, may_decide=True, timeout_s=0.02)
    with pytest.raises(JudgeRetry, match=r"no reply within 0\.02 s"):
        asyncio.run(asked)
    assert n_sent == [3]


@pytest.mark.parametrize(
    "body",
    [
        completion("[" * 50_000),
        completion('{"answers": ' * 900 + "0" + "}" * 900),
        {**completion("[1]"), "usage": {"completion_tokens": 10**300, "total_tokens": -1, "prompt_tokens": []}},
        {**completion("[1]"), "model": ["m"], "system_fingerprint": {}},
        {"answers": [{"probability": 10**400}, {"probability": 0.1}], **completion("x")},
        {"error": {"code": 10**400, "message": {"a": []}}},
        {"choices": [{"message": {"content": 3}, "logprobs": {"content": [{"top_logprobs": 7}]}}]},
    ],
    ids=["deep text", "deep answers", "counts", "names", "probabilities", "error", "log-probabilities"],
)
def test_whatever_a_server_sends_a_probe_ends_in_a_finding_or_does_without(
    body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_MOST_RETRIES", 0)
    with FaultServer(personality=lambda path, asked: Said(body)) as server:
        assert len(Probing(server, is_asked=False).said) == 1


def test_a_key_is_in_no_finding_and_in_nothing_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)

    def repeats(path: str, body: dict[str, Any]) -> Said:
        kind = body.get("response_format", {}).get("type")
        wrong = {"error": {"message": f"response_format: bad for Bearer {KEY}"}}
        return Said(wrong, status=400) if kind else Said(completion(f"I saw {KEY}"))

    with FaultServer(personality=repeats) as server:
        found = Probing(server, cache=tmp_path, key_env="MY_KEY")
        assert all(headers["Authorization"] == f"Bearer {KEY}" for _, headers in server.seen)
    assert KEY not in found.said[0]
    assert all(KEY not in file.read_text() for file in tmp_path.rglob("*"))
