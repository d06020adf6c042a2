"""The kit finds each breach of the contract, that breach and no other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from autointerp.errors import ConfigError, JudgeRejected, JudgeRetry, JudgeStopped, RunStopped
from autointerp.judges.judge import Capabilities, Judge, Reply, Request, Usage
from autointerp.judges.kit.contract import FIRST_QUESTION, CheckResult, check_judge, count_questions
from autointerp.judges.tasks import ScoreTask
from autointerp.plugins import open_judge

EVERY_CLAIM = {"has_schema": True, "has_logprobs": True, "is_deterministic": True, "is_local": True}
CUT_HUGE = 1_000


class Fine:
    """Keeps the contract and claims all there is to claim; tests break it in one place each."""

    def __init__(self, **capabilities: Any) -> None:
        self.capabilities = Capabilities(**{"endpoint": "e", "model": "m", **EVERY_CLAIM, **capabilities})
        self.n_asked = 0

    async def ask(self, request: Request) -> Reply:
        self.n_asked += 1
        await asyncio.sleep(0)
        return self.reply(request)

    def reply(self, request: Request) -> Any:
        task = request.task
        if not isinstance(task, ScoreTask):
            return Reply("[EXPLANATION]: lanterns", "m", usage=Usage(9, 5, 0, 0.0))
        answers = [int(task.explanation.strip('"') in passage.text) for passage in task.passages]
        return Reply(
            json.dumps({"answers": answers}),
            "m",
            usage=Usage(10, 6, 2, 0.0),
            token_logprobs=(("1", {"1": -0.1, "0": -2.5}),) if request.want_logprobs else None,
            probabilities=tuple(map(float, answers)),
        )

    async def aclose(self) -> None: ...


def changed(**fields: Any) -> type[Fine]:
    """A judge whose every reply has other fields."""

    class Changed(Fine):
        def reply(self, request: Request) -> Any:
            return replace(super().reply(request), **fields)

    return Changed


class Mutating(Fine):
    def reply(self, request: Request) -> Any:
        reply = super().reply(request)
        if request.reply_schema is not None and request.reply_schema is not _FIXED_SCHEMA:
            request.reply_schema.setdefault("title", "reply")  # type: ignore[attr-defined]
        return reply


_FIXED_SCHEMA: dict[str, Any] = {}


class Long(Fine):
    def reply(self, request: Request) -> Any:
        reply = super().reply(request)
        if isinstance(request.task, ScoreTask):
            return reply
        return replace(reply, usage=Usage(1, max(request.max_tokens, 100)))


class Chatty(Fine):
    def reply(self, request: Request) -> Any:
        return super().reply(request) if isinstance(request.task, ScoreTask) else Reply("x" * 9_000, "m")


class Silent(Fine):
    """Has nothing to explain."""

    def reply(self, request: Request) -> Any:
        return super().reply(request) if isinstance(request.task, ScoreTask) else Reply("  ", "m")


class Fickle(Fine):
    """Changes its mind every third time it is asked the same, alone."""

    n_equal = 0

    def reply(self, request: Request) -> Any:
        reply = super().reply(request)
        is_plain = isinstance(request.task, ScoreTask) and len(request.task.passages) == 2 and not request.sample
        self.n_equal += is_plain and request.reply_schema is None and not request.want_logprobs
        return replace(reply, text=f"  {reply.text}") if self.n_equal == 3 else reply


class Prose(Fine):
    def reply(self, request: Request) -> Any:
        reply = super().reply(request)
        return replace(reply, text="Yes, the first.") if request.reply_schema is not None else reply


def structured(text: str) -> type[Fine]:
    class Structured(Fine):
        def reply(self, request: Request) -> Any:
            reply = super().reply(request)
            return replace(reply, text=text) if request.reply_schema is not None else reply

    return Structured


class Textless(Fine):
    def reply(self, request: Request) -> Any:
        return "[1, 0]"


class Raising(Fine):
    def reply(self, request: Request) -> Any:
        raise KeyError("choices")


def raising_on(is_odd: Callable[[str], bool], error: Exception) -> type[Fine]:
    class Picky(Fine):
        def reply(self, request: Request) -> Any:
            if is_odd(request.messages[-1].content):
                raise error
            return super().reply(request)

    return Picky


class Single(Fine):
    """Takes no repeated question."""

    def reply(self, request: Request) -> Any:
        if request.sample:
            raise NotImplementedError("sample")
        return super().reply(request)


class Crossing(Fine):
    """Gives each question the answer of the one before it when several are out."""

    def __init__(self, **capabilities: Any) -> None:
        super().__init__(**capabilities)
        self.out: list[Request] = []

    async def ask(self, request: Request) -> Reply:
        self.out.append(request)
        await asyncio.sleep(0.005)
        other = self.out[self.out.index(request) - 1]
        await asyncio.sleep(0.005)
        self.out.remove(request)
        return self.reply(other)


class Deaf(Fine):
    """Swallows cancellation and goes on."""

    async def ask(self, request: Request) -> Reply:
        if "velvet" in str(request.task):
            for _ in range(30):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
        return self.reply(request)


class Recasting(Fine):
    """Turns a cancellation into a failure of the request, as a broad except does."""

    async def ask(self, request: Request) -> Reply:
        try:
            await asyncio.sleep(0.05 if "velvet" in str(request.task) else 0)
        except asyncio.CancelledError:
            raise JudgeRetry("cancelled") from None
        return self.reply(request)


class Behindhand(Fine):
    """After a question was abandoned, gives its answer to the next one."""

    left_over: Reply | None = None

    async def ask(self, request: Request) -> Reply:
        if self.left_over is not None:
            reply, self.left_over = self.left_over, None
            return reply
        try:
            await asyncio.sleep(0.05 if "velvet" in str(request.task) else 0)
        except asyncio.CancelledError:
            self.left_over = self.reply(request)
            raise
        return self.reply(request)


class Fragile(Fine):
    n_closed = 0

    async def aclose(self) -> None:
        self.n_closed += 1
        if self.n_closed > 1:
            raise RuntimeError("already closed")


class Blocking(Fine):
    def reply(self, request: Request) -> Any:
        time.sleep(0.05)
        return super().reply(request)


class Probing(Fine):
    """Finds out beforehand what its endpoint honours."""

    said = "structured replies"
    error: Exception | None = None

    async def probe(self, *, run: Any, cache: Any, budget: Any, say: Callable[[str], None]) -> None:
        if self.error is not None:
            raise self.error
        self.capabilities = replace(self.capabilities, max_concurrent=3)
        say(self.said)


class Unprobed(Probing):
    error = ZeroDivisionError("no requests")


class Shifting(Fine):
    def reply(self, request: Request) -> Any:
        self.capabilities = replace(self.capabilities, model="another")
        return super().reply(request)


def results(judge: Any, **settings: Any) -> dict[str, CheckResult]:
    settings = {"moment_s": 0.1, "pause_s": 0.0, "block_s": 5.0, **settings}
    return {r.name: r for r in asyncio.run(check_judge(judge, **settings))}


def failed(judge: Any, **settings: Any) -> dict[str, str]:
    return {r.name: r.detail for r in results(judge, **settings).values() if r.is_passed is False}


def test_a_judge_that_keeps_it_passes_every_check() -> None:
    found = results(Fine(), reopen=Fine, unreachable=dead(JudgeRetry("no connection", is_connection=True)))
    assert found.pop("a probe finds out what is honoured").is_passed is None
    assert {name: result.is_passed for name, result in found.items()} == dict.fromkeys(found, True), found
    assert len(found) == 21


def test_what_is_not_claimed_is_not_checked() -> None:
    class Plain(Fine):
        def reply(self, request: Request) -> Any:
            return replace(super().reply(request), probabilities=None)

    judge = Plain(has_schema=False, has_logprobs=False, is_deterministic=False, is_local=False)
    found = results(judge)
    assert {name for name, result in found.items() if result.is_passed is None} == {
        "a probe finds out what is honoured",
        "the same question gets the same answer",
        "a structured reply keeps its schema",
        "log-probabilities are well-formed",
        "errors are mapped: huge question",
        "errors are mapped: dead endpoint",
        "probabilities are one per text, 0 to 1",
        "it answers in a second event loop",
    }
    assert not [result for result in found.values() if result.is_passed is False]


def empty(text: str) -> bool:
    return not text


def half(text: str) -> bool:
    return "\ud83d" in text


def huge(text: str) -> bool:
    return len(text) > 900_000


BREACHES: list[tuple[Fine, str, str]] = [
    (Unprobed(), "a probe finds out what is honoured", "ZeroDivisionError"),
    (Fine(endpoint=""), "capabilities are stated", "must not be empty"),
    (Fine(max_concurrent=0), "capabilities are stated", "max_concurrent is 0"),
    (Textless(), FIRST_QUESTION, "gave a str, not a Reply"),
    (Raising(), FIRST_QUESTION, "no error of this package: KeyError"),
    (changed(finish="eos")(), FIRST_QUESTION, "not 'eos'"),
    (Silent(), "an explaining question gets a reply", "empty"),
    (Mutating(), "the request is left as it was", "changed its request"),
    (Long(), "the token limit is honoured", "100 tokens came where 16"),
    (Chatty(), "the token limit is honoured", "9,000 characters"),
    (Fickle(), "the same question gets the same answer", "2 different answers"),
    (Prose(), "a structured reply keeps its schema", "no JSON: 'Yes, the first.'"),
    *(
        (structured(text)(), "a structured reply keeps its schema", "no object of two answers")
        for text in (
            *('{"answers": [1, 0, 0]}', '{"answers": [1]}', '{"answers": [1, 2]}', '{"answers": [true, false]}'),
            *('{"answers": ["1", "0"]}', '{"answers": [1, 0], "why": ""}', '{"answers": 1}', "[1, 0]", "{}"),
        )
    ),
    (changed(token_logprobs=None, probabilities=None)(), "log-probabilities are well-formed", "no token_logprobs"),
    (changed(token_logprobs=(("1", {"1": 0.4}),))(), "log-probabilities are well-formed", "0.4"),
    (changed(token_logprobs=(("1", {"1": -0.1, "0": -0.1}),))(), "log-probabilities are well-formed", "sum to 1.8"),
    (changed(token_logprobs=(("1", {}),))(), "log-probabilities are well-formed", "no token of the reply has"),
    (changed(token_logprobs=(("1", None),))(), "log-probabilities are well-formed", "a NoneType, not a mapping"),
    (changed(token_logprobs=("1", "0"))(), "log-probabilities are well-formed", "no pair"),
    (changed(token_logprobs=(("1", {"1": math.nan}),))(), "log-probabilities are well-formed", "nan"),
    (Single(), "a repeated question is taken", "NotImplementedError"),
    (Crossing(), "questions at once get an answer each", "another answer when 4"),
    (Crossing(is_deterministic=False), "questions at once get an answer each", "wrong questions"),
    (Deaf(), "a time-out is honoured", "still ran after 0.1 s"),
    (Recasting(), "a time-out is honoured", "not with JudgeRetry"),
    (Behindhand(), "a time-out is honoured", "another answer than before"),
    (raising_on(empty, IndexError("0"))(), "errors are mapped: empty question", "IndexError"),
    (raising_on(half, UnicodeError("surrogates"))(), "errors are mapped: half characters", "UnicodeError"),
    (raising_on(huge, MemoryError("x"))(), "errors are mapped: huge question", "MemoryError"),
    (raising_on(huge, JudgeStopped("down"))(), "errors are mapped: huge question", "end the whole run"),
    (Blocking(), "the event loop is left free", "stood still for 0."),
    (changed(probabilities=(1.0,))(), "probabilities are one per text, 0 to 1", "one number per passage"),
    (changed(model="")(), "replies say who answered at what cost", "''"),
    (changed(usage=Usage(-1))(), "replies say who answered at what cost", "input_tokens is -1"),
    (changed(usage=Usage(usd=-0.5))(), "replies say who answered at what cost", "usd is -0.5"),
    (Shifting(), "capabilities stay the same", "another"),
    (Fragile(), "closing twice is harmless", "already closed"),
]


@pytest.mark.parametrize(("judge", "name", "detail"), BREACHES, ids=[f"{n}-{b[1]}" for n, b in enumerate(BREACHES)])
def test_each_breach_is_found_and_no_other(judge: Fine, name: str, detail: str) -> None:
    found = failed(judge, block_s=0.04 if isinstance(judge, Blocking) else 5.0)
    assert set(found) == {name}, found
    assert detail in found[name]


def test_what_a_probe_finds_out_is_what_counts() -> None:
    judge = Probing(max_concurrent=9)
    found = results(judge)
    assert not [result for result in found.values() if result.is_passed is False]
    assert found["a probe finds out what is honoured"].detail == "structured replies"
    assert judge.capabilities.max_concurrent == 3


def test_an_error_of_a_judge_is_told_with_its_file_its_line_and_the_question() -> None:
    class Stumbling(Fine):
        def reply(self, request: Request) -> Any:
            return json.loads("{", object_hook=None) if isinstance(request.task, ScoreTask) else None

    found = failed(Stumbling())[FIRST_QUESTION]
    line = Stumbling.reply.__code__.co_firstlineno + 1
    assert "no error of this package: JSONDecodeError: " in found
    assert f"{__file__}:{line} in reply, called as `return await self.judge.ask(request)`" in found
    assert "asked: ScoreTask of " in found
    assert 'A pattern: "lantern"' in found


def test_every_check_has_a_judge_that_fails_it() -> None:
    elsewhere = {"errors are mapped: dead endpoint", "it answers in a second event loop"}  # see the tests below
    assert {name for _, name, _ in BREACHES} | elsewhere == set(results(Fine()))


def test_probabilities_will_do_in_place_of_log_probabilities() -> None:
    assert failed(changed(token_logprobs=None)()) == {}


def test_a_probability_out_of_range_is_found() -> None:
    class Unsure(Fine):
        def reply(self, request: Request) -> Any:
            reply = super().reply(request)
            return replace(reply, probabilities=tuple(1.5 for _ in reply.probabilities or ()) or reply.probabilities)

    assert "1.5" in failed(Unsure())["probabilities are one per text, 0 to 1"]


def dead(error: Exception) -> Judge:
    class Dead(Fine):
        def reply(self, request: Request) -> Any:
            raise error

    return Dead()


@pytest.mark.parametrize(
    ("error", "detail"),
    [(JudgeRejected("bad request"), "blamed on the question"), (OSError("refused"), "no error of this package")],
)
def test_a_dead_endpoint_is_no_fault_of_the_questions(error: Exception, detail: str) -> None:
    found = failed(Fine(), unreachable=dead(error))
    assert set(found) == {"errors are mapped: dead endpoint"}
    assert detail in found["errors are mapped: dead endpoint"]


def test_an_address_that_is_not_used_is_not_checked() -> None:
    assert results(Fine(), unreachable=Fine())["errors are mapped: dead endpoint"].is_passed is None


def test_a_judge_bound_to_one_event_loop_is_found() -> None:
    class Bound(Fine):
        loop: asyncio.AbstractEventLoop | None = None

        async def ask(self, request: Request) -> Reply:
            loop = asyncio.get_running_loop()
            Bound.loop = Bound.loop or loop
            if loop is not Bound.loop:  # as a module's own session, lock or pool says it
                raise RuntimeError("attached to a different loop")
            return self.reply(request)

    assert set(failed(Bound(), reopen=Bound, n_at_once=2)) == {"it answers in a second event loop"}


def test_a_judge_that_does_not_answer_is_asked_no_further() -> None:
    judge = dead(JudgeStopped("no credits left"))
    found = results(judge, reopen=Fine)
    assert found[FIRST_QUESTION].detail.startswith("JudgeStopped: no credits left; asked: ScoreTask of ")
    assert found["closing twice is harmless"].is_passed
    assert {result.is_passed for name, result in found.items() if "question" in name and name != FIRST_QUESTION} == {
        None
    }
    assert judge.n_asked == 1  # type: ignore[attr-defined]


def test_what_are_no_capabilities_ends_the_check() -> None:
    judge = Fine()
    judge.capabilities = {"model": "m"}  # type: ignore[assignment]
    assert set(failed(judge)) == {"capabilities are stated"}
    assert judge.n_asked == 0


def test_a_busy_endpoint_is_asked_again() -> None:
    class Busy(Fine):
        def reply(self, request: Request) -> Any:
            if self.n_asked % 3:
                raise JudgeRetry("429", retry_after_s=0.0, is_overload=True)
            return super().reply(request)

    found = results(Busy(is_deterministic=False, is_local=False), n_at_once=2)
    assert not [result for result in found.values() if result.is_passed is False]


@pytest.mark.parametrize("claims", [{}, {"is_deterministic": False}, {"is_local": False, "has_schema": False}])
@pytest.mark.parametrize("n_at_once", [2, 4, 9])
def test_the_number_of_questions_is_known_beforehand(claims: dict[str, Any], n_at_once: int) -> None:
    judge, second = Fine(**claims), Fine(**claims)
    results(judge, reopen=lambda: second, n_at_once=n_at_once)
    assert judge.n_asked + second.n_asked == count_questions(judge.capabilities, n_at_once=n_at_once)


def test_a_judge_that_is_not_free_gets_no_huge_prompt_unless_asked() -> None:
    class Measuring(Fine):
        longest = 0

        def reply(self, request: Request) -> Any:
            self.longest = max(self.longest, sum(len(message.content) for message in request.messages))
            return super().reply(request)

    judge = Measuring(is_local=False)
    results(judge)
    assert judge.longest < CUT_HUGE
    results(judge, is_thorough=True)
    assert judge.longest > 900_000


@pytest.mark.parametrize("name", ["pattern", "coin", "literal", "mumbler"])
def test_the_judges_that_need_nothing_keep_the_contract(name: str) -> None:
    assert failed(open_judge(name), reopen=lambda: open_judge(name)) == {}


def test_the_openai_judge_maps_an_address_where_nobody_listens() -> None:
    options = {"base_url": "http://127.0.0.1:1/v1", "key_env": ""}
    found = results(open_judge("openai:m", options), unreachable=open_judge("openai:m", options))
    assert found["errors are mapped: dead endpoint"].is_passed is True
    assert found[FIRST_QUESTION].is_passed is False
    assert found[FIRST_QUESTION].detail.startswith(("JudgeRetry", "JudgeStopped"))


def test_errors_of_the_users_are_found_too() -> None:
    assert failed(dead(ConfigError("judges.x.y is wrong")))[FIRST_QUESTION].startswith("ConfigError")
    assert failed(dead(RunStopped("over")))[FIRST_QUESTION].startswith("RunStopped")
