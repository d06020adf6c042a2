"""The vllm judge against a package that keeps to the signatures recorded from the real wheel."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from autointerp.errors import AutointerpError, ConfigError, JudgeRejected, JudgeRetry, JudgeStopped, PluginError
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.kit.contract import check_judge
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask
from autointerp.plugins import open_judge
from autointerp.prompting.parsing import find_answers
from autointerp.prompting.probabilities import answer_probabilities
from autointerp.runs.journal import open_journal
from tests.contracts.vllm_record import RECORD, FakeVllm
from tests.judges.questions import limits, question

SCHEMA = {
    "type": "object",
    "properties": {
        "answers": {"type": "array", "items": {"type": "integer", "enum": [0, 1]}, "minItems": 2, "maxItems": 2}
    },
    "required": ["answers"],
    "additionalProperties": False,
}
OF_1 = 0.3
LABELS = {"0": math.log(0.5 * (1 - OF_1)), "1": math.log(0.5 * OF_1)}
"""Half of the mass is on other tokens."""


def answer(messages: Any, sampling: Any) -> tuple[str, str, Mapping[str, float]]:
    """What the question was, in a form that keeps the schema where one is asked for."""
    said = messages[-1]["content"]
    if sampling.structured_outputs is None:
        return f"about {said}", "length" if len(said) + 6 > sampling.max_tokens else "stop", LABELS
    n = sampling.structured_outputs.json["properties"]["answers"].get("minItems", 2)
    return json.dumps({"answers": [0] * n}), "stop", LABELS


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    made = FakeVllm(answer)
    for name, module in made.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


def ask_all(requests: list[Request], **options: Any) -> list[Any]:
    """The replies, or the errors, of questions asked at once."""

    async def inner() -> list[Any]:
        judge = open_judge("vllm:some/model", {"quiet_s": 0.01, **options})
        try:
            return list(await asyncio.gather(*map(judge.ask, requests), return_exceptions=True))
        finally:
            await judge.aclose()

    return asyncio.run(inner())


def ask(request: Request, **options: Any) -> Reply:
    (reply,) = ask_all([request], **options)
    if isinstance(reply, BaseException):
        raise reply
    return reply


def test_the_judge_keeps_the_contract(fake: FakeVllm) -> None:
    def reopen() -> Any:
        return open_judge("vllm:some/model", {"quiet_s": 0.01})

    failed = [r for r in asyncio.run(check_judge(reopen())) if r.is_passed is False]
    assert failed == []


def test_the_engine_starts_with_the_first_question_and_is_shut_down_after_the_last(fake: FakeVllm) -> None:
    async def inner() -> None:
        judge = open_judge(
            "vllm:some/model", {"max_model_len": 4000, "revision": "abc", "engine": {"max_num_seqs": 64}}
        )
        assert fake.engines == []
        await judge.ask(question())
        await judge.ask(question("b"))
        assert (len(fake.engines), fake.n_shut_down) == (1, 0)
        await judge.aclose()
        await judge.aclose()

    asyncio.run(inner())
    assert fake.n_shut_down == 1
    (engine,) = fake.engines
    wanted = {"model": "some/model", "revision": "abc", "max_model_len": 4000, "max_num_seqs": 64}
    wanted |= {"enable_prefix_caching": True, "trust_remote_code": False, "tensor_parallel_size": 1}
    assert {name: engine[name] for name in wanted} == wanted


def test_a_judge_that_was_never_asked_starts_no_engine(fake: FakeVllm) -> None:
    assert ask_all([]) == []
    assert (fake.engines, fake.n_shut_down) == ([], 0)


def test_questions_are_answered_in_chunks_each_with_its_own_reply(fake: FakeVllm) -> None:
    replies = ask_all([question(f"q{i}", max_tokens=100) for i in range(25)], chunk_size=10)
    assert [reply.text for reply in replies] == [f"about Judge q{i}." for i in range(25)]
    assert [len(messages) for messages, _ in fake.chats] == [10, 10, 5]
    assert replies[3].usage.input_tokens == len("Judge.") + len("Judge q3.")
    assert replies[3].usage.output_tokens == len(replies[3].text)
    assert replies[3].usage.cached_tokens == 3


def test_a_scoring_request_becomes_structured_output_with_label_probabilities(fake: FakeVllm) -> None:
    reply = ask(question(reply_schema=SCHEMA, want_logprobs=True))
    ((_, (sampling,)),) = fake.chats
    assert sampling.structured_outputs.json == SCHEMA
    assert sorted(map(chr, sampling.logprob_token_ids)) == ["0", "1"]
    assert (sampling.temperature, sampling.seed, sampling.logprobs, sampling.max_tokens) == (0.0, None, None, 50)
    assert reply.text == '{"answers": [0, 0]}'
    assert reply.token_logprobs is not None
    assert "".join(token for token, _ in reply.token_logprobs) == reply.text
    answers = find_answers(reply.text, 2)
    assert answers is not None
    assert answer_probabilities(reply, answers) == pytest.approx((OF_1, OF_1))


def test_a_template_without_a_system_gets_its_message_in_the_users(
    fake: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(messages: Any, sampling: Any) -> tuple[str, str, Mapping[str, float]]:
        if messages[0]["role"] == "system":
            raise ValueError("System role not supported")
        return answer(messages, sampling)

    monkeypatch.setattr(fake, "answer", refuse)
    replies = ask_all([question(f"q{i}", max_tokens=100) for i in range(3)])
    assert [reply.text for reply in replies] == [f"about Judge.\n\nJudge q{i}." for i in range(3)]


def test_other_requests_get_top_alternatives_and_free_text(fake: FakeVllm) -> None:
    task = ExplainTask((), (), (), ())
    request = Request(task, (Message("user", "why"),), max_tokens=90, temperature=0.7, want_logprobs=True)
    reply = ask(request, top_logprobs=2)
    ((_, (sampling,)),) = fake.chats
    assert (sampling.logprobs, sampling.logprob_token_ids, sampling.structured_outputs) == (2, None, None)
    assert reply.text == "about why"
    assert ask(question(reply_schema=SCHEMA), reply_format="none").text == "about Judge q."


def test_seeds_follow_from_the_request_alone(fake: FakeVllm) -> None:
    warm = {"temperature": 0.8}
    requests = [question("a", **warm), question("b", seed=3, **warm), question("a", sample=1, **warm), question("a")]
    ask_all(requests)
    ask_all([requests[1]])
    first, second = (sampling for _, sampling in fake.chats)
    seeds = [one.seed for one in first]
    assert seeds[3] is None
    assert len(set(seeds[:3])) == 3
    assert second[0].seed == seeds[1]


def test_a_prompt_that_is_refused_is_rejected_and_its_neighbours_are_answered(fake: FakeVllm) -> None:
    requests = [question("x" * 300 if i in (2, 9) else f"q{i}", max_tokens=90) for i in range(16)]
    replies = ask_all(requests, max_model_len=200)
    refused = [i for i, reply in enumerate(replies) if isinstance(reply, JudgeRejected)]
    assert refused == [2, 9]
    assert "more than 200" in str(replies[2])
    assert [r.text for i, r in enumerate(replies) if i not in refused] == [
        f"about Judge q{i}." for i in range(16) if i not in refused
    ]
    assert len(fake.chats) <= 2 * 2 * math.log2(16) + 1


@pytest.mark.parametrize("finish", ["abort", "error"])
def test_a_reply_that_the_engine_broke_off_is_to_be_retried(fake: FakeVllm, finish: str) -> None:
    fake.answer = lambda *_: ("half", finish, {})
    with pytest.raises(JudgeRetry, match=finish):
        ask(question())


def test_every_reason_that_vllm_gives_for_an_end_is_known(fake: FakeVllm) -> None:
    ends = {}
    for finish in RECORD["constants"]["FINISH_REASON_STRINGS"]:
        fake.answer = lambda *_, finish=finish: ("x", finish, {})
        (reply,) = ask_all([question()])
        ends[finish] = reply.finish if isinstance(reply, Reply) else type(reply)
    assert ends == {
        "stop": "stop",
        "length": "length",
        "repetition": "length",
        "abort": JudgeRetry,
        "error": JudgeRetry,
    }


def test_an_engine_that_cannot_start_or_dies_stops_the_run(fake: FakeVllm) -> None:
    fake.start_error = RuntimeError("Engine core initialization failed.\nSee root cause above.")
    with pytest.raises(
        JudgeStopped, match=r"vllm:some/model cannot start its engine: Engine core initialization failed\.$"
    ):
        ask(question())
    fake.start_error = None
    fake.chat_error = fake.exceptions.dead("EngineCore encountered an issue.")
    replies = ask_all([question("a"), question("b")])
    assert all(isinstance(reply, JudgeStopped) and "EngineCore" in str(reply) for reply in replies)


def test_an_argument_that_the_engine_does_not_know_is_told_in_one_line(fake: FakeVllm) -> None:
    with pytest.raises(JudgeStopped, match="max_num_sequences") as caught:
        ask(question(), engine={"max_num_sequences": 3})
    assert "\n" not in str(caught.value)


def test_an_abandoned_question_is_not_put_to_the_engine(fake: FakeVllm) -> None:
    async def inner() -> None:
        judge = open_judge("vllm:some/model", {"quiet_s": 0.05})
        gone = asyncio.ensure_future(judge.ask(question("gone")))
        kept = asyncio.ensure_future(judge.ask(question("kept", max_tokens=90)))
        await asyncio.sleep(0.01)
        gone.cancel()
        assert (await kept).text == "about Judge kept."
        await judge.aclose()

    asyncio.run(inner())
    assert [row[-1]["content"] for messages, _ in fake.chats for row in messages] == ["Judge kept."]


def test_the_journal_advances_chunk_by_chunk_whatever_the_limits_of_endpoints(fake: FakeVllm, tmp_path: Path) -> None:
    """The judge's own number of questions rules, and no time-out cuts a chunk short."""
    recorded: list[int] = []

    async def inner() -> None:
        with open_journal(tmp_path / "journal.sqlite") as journal:
            judge = open_judge("vllm:some/model", {"chunk_size": 20, "quiet_s": 0.2})
            chosen = limits(max_concurrent=2, timeout_s=0.05)
            async with Client(judge, journal=journal, cache=None, limits=chosen, budget=Budget()) as client:

                def counting(messages: Any, sampling: Any) -> Any:
                    recorded.append(client.counters.output_tokens)
                    return "[0]", "stop", {}

                fake.answer = counting
                await asyncio.gather(*(client.ask(question(f"q{i}")) for i in range(50)))
                assert (client.counters.n_sent, client.counters.n_errors) == (50, 0)

    asyncio.run(inner())
    assert [len(messages) for messages, _ in fake.chats] == [20, 20, 10]
    assert [recorded[0], recorded[20], recorded[40]] == [0, 20 * 3, 40 * 3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"chunk_sise": 3}, "did you mean 'chunk_size'"),
        ({"chunk_size": 0}, "judges.vllm.chunk_size = 0"),
        ({"engine": {"trust_remote_code": True}}, "never set"),
        ({"engine": {"hf_token": "hf_secret"}}, "hf auth login"),
        ({"engine": {"data_parallel_size": 2}}, "vllm serve"),
        ({"engine": {"model": "x"}}, "set by this judge"),
    ],
)
def test_wrong_options_are_told_in_one_line(fake: FakeVllm, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        open_judge("vllm:m", options)
    assert "\n" not in str(caught.value)
    assert "hf_secret" not in str(caught.value)


def test_without_a_model_or_without_vllm_it_says_what_to_do(fake: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="vllm:DIRECTORY"):
        open_judge("vllm")
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(PluginError, match=r"pip install '\.\[vllm\]' in a checkout"):
        open_judge("vllm:m")


def test_options_that_change_replies_belong_to_the_key_and_others_do_not(fake: FakeVllm) -> None:
    def variant(**options: Any) -> str:
        return open_judge("vllm:m", options).capabilities.variant

    assert variant() == variant(chunk_size=9, quiet_s=1.0, tensor_parallel_size=2, gpu_memory_utilization=0.5) == ""
    changes = [{"dtype": "float16"}, {"revision": "a"}, {"reply_format": "none"}, {"engine": {"max_num_seqs": 3}}]
    assert len({variant(), *(variant(**change) for change in changes)}) == 5


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda fake: fake.sampling_params.SamplingParams(max_token=3), "max_token is unknown"),
        (lambda fake: fake.sampling_params.SamplingParams(max_tokens="3"), "max_tokens = '3'"),
        (lambda fake: fake.package.LLM(model="m", enable_prefix_cacheing=True), "enable_prefix_cacheing"),
        (lambda fake: fake.package.LLM(model="m").chat([], [], batch_size=3), "batch_size"),
        (lambda fake: fake.package.LLM(model="m").chat([], "greedy"), "sampling_params"),
    ],
)
def test_the_fake_refuses_what_the_real_one_does_not_know(
    fake: FakeVllm, function: Callable[[FakeVllm], Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        function(fake)


def test_half_characters_do_not_reach_the_tokenizer(fake: FakeVllm) -> None:
    passages = (Passage("a"),)
    request = Request(ScoreTask("e", passages), (Message("user", "half \ud83d"),), max_tokens=30)
    assert ask(request).text == "about half ?"
    assert issubclass(JudgeRejected, AutointerpError)
