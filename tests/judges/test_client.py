"""The client: every ask ends with an outcome or stops the run; nothing journalled is asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autointerp.errors import JudgeRejected, JudgeRetry, JudgeStopped, LimitReached, RunStopped
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client, Failure
from autointerp.judges.judge import Capabilities, Message, Reply, Request, Usage
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.reply_cache import ReplyCache, open_reply_cache
from autointerp.runs.reply_record import Account
from tests.judges.questions import FAST, limits, question


class Handmade:
    """A judge whose `ask` is a function, with a count of what reached it."""

    def __init__(self, answer: Callable[[Request], Awaitable[Reply]] | None = None, **capabilities: Any) -> None:
        self._answer = answer
        self.asked: list[Request] = []
        self.n_at_once = self.most_at_once = 0
        self._capabilities = Capabilities(**{"endpoint": "http://e", "model": "m", **capabilities})

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        self.n_at_once += 1
        self.most_at_once = max(self.most_at_once, self.n_at_once)
        try:
            await asyncio.sleep(0)
            return await self._answer(request) if self._answer else Reply("[1, 0]", "m", usage=Usage(10, 2, 0, 0.5))
        finally:
            self.n_at_once -= 1

    async def aclose(self) -> None: ...


def run(
    path: Path,
    judge: Any,
    work: Callable[[Client], Awaitable[Any]],
    *,
    budget: Budget | None = None,
    cache: ReplyCache | None = None,
    schedule: Any = FAST,
    splitting: Any = None,
    **changes: Any,
) -> Any:
    """`work` with a client on the journal at `path`."""

    async def inner(journal: Journal) -> Any:
        settings = limits(**changes)
        async with Client(
            judge,
            journal=journal,
            cache=cache,
            limits=settings,
            budget=budget or Budget(),
            schedule=schedule,
            splitting=splitting,
        ) as client:
            return await work(client)

    with open_journal(path) as journal:
        return asyncio.run(inner(journal))


async def ask_many(client: Client, n: int) -> list[Any]:
    return await asyncio.gather(*(client.ask(question(f"q{i}")) for i in range(n)), return_exceptions=True)


def test_a_second_session_asks_nothing_again(tmp_path: Path) -> None:
    first, second = Handmade(), Handmade()
    before = run(tmp_path / "j", first, lambda c: ask_many(c, 20))
    after = run(tmp_path / "j", second, lambda c: ask_many(c, 20))
    assert len(first.asked) == 20
    assert second.asked == []
    assert before == after


def test_identical_requests_in_flight_are_asked_once(tmp_path: Path) -> None:
    judge = Handmade()

    async def work(client: Client) -> Any:
        replies = await asyncio.gather(*(client.ask(question()) for _ in range(10)))
        return replies, client.counters.n_shared

    replies, n_shared = run(tmp_path / "j", judge, work)
    assert len(judge.asked) == 1
    assert n_shared == 9
    assert {reply.text for reply in replies} == {"[1, 0]"}


def test_samples_of_one_question_are_asked_apart(tmp_path: Path) -> None:
    judge = Handmade()
    run(tmp_path / "j", judge, lambda c: asyncio.gather(c.ask(question()), c.ask(question(sample=1))))
    assert len(judge.asked) == 2


def test_what_never_succeeds_is_an_error_and_is_asked_again_next_time(tmp_path: Path) -> None:
    async def fail(request: Request) -> Reply:
        raise JudgeRetry("busy")

    judge = Handmade(fail)
    outcome = run(tmp_path / "j", judge, lambda c: c.ask(question()))
    assert outcome == Failure("error", "busy")
    assert len(judge.asked) == FAST.max_attempts
    working = Handmade()
    assert run(tmp_path / "j", working, lambda c: c.ask(question())).text == "[1, 0]"
    with open_journal(tmp_path / "j") as journal:
        totals = journal.totals()
    assert (totals.n_replies, totals.n_failed_attempts) == (1, FAST.max_attempts)


def test_limits_decide_the_number_of_attempts(tmp_path: Path) -> None:
    async def fail(request: Request) -> Reply:
        raise JudgeRetry("busy", retry_after_s=None)

    judge = Handmade(fail)
    run(tmp_path / "j", judge, lambda c: c.ask(question()), max_attempts=1, schedule=None)
    assert len(judge.asked) == 1


def test_a_rejected_request_is_not_repeated(tmp_path: Path) -> None:
    async def reject(request: Request) -> Reply:
        raise JudgeRejected("too long")

    judge = Handmade(reject)
    assert run(tmp_path / "j", judge, lambda c: c.ask(question())) == Failure("error", "too long")
    assert len(judge.asked) == 1


def test_a_refusal_is_an_outcome_and_is_kept(tmp_path: Path) -> None:
    async def refuse(request: Request) -> Reply:
        return Reply("I cannot help with that.", "m", finish="refused")

    first, second = Handmade(refuse), Handmade(refuse)
    expected = Failure("refused", "I cannot help with that.")
    assert run(tmp_path / "j", first, lambda c: c.ask(question())) == expected
    assert run(tmp_path / "j", second, lambda c: c.ask(question())) == expected
    assert second.asked == []


def test_a_hanging_judge_is_timed_out(tmp_path: Path) -> None:
    async def hang(request: Request) -> Reply:
        await asyncio.sleep(3600)
        raise AssertionError

    outcome = run(tmp_path / "j", Handmade(hang), lambda c: c.ask(question()), timeout_s=0.01)
    assert isinstance(outcome, Failure)
    assert "timeout_s" in outcome.message


def test_a_stopping_judge_stops_everything_at_once_and_keeps_what_is_done(tmp_path: Path) -> None:
    async def stop_at_ten(request: Request) -> Reply:
        if request == question("q10"):
            raise JudgeStopped("wrong key")
        return Reply("[1]", "m")

    judge = Handmade(stop_at_ten)
    outcomes = run(tmp_path / "j", judge, lambda c: ask_many(c, 200), max_concurrent=4)
    assert len(judge.asked) < 20
    assert all(isinstance(o, Reply) or (isinstance(o, JudgeStopped) and "wrong key" in str(o)) for o in outcomes)
    with open_journal(tmp_path / "j") as journal:
        assert journal.totals().n_replies == sum(isinstance(o, Reply) for o in outcomes)


def test_waiting_retries_end_when_the_run_stops(tmp_path: Path) -> None:
    """A request that waits an hour for its next try must not keep a stopped run alive."""
    from autointerp.judges.engine.limits import RetrySchedule

    async def answer(request: Request) -> Reply:
        if request == question("slow"):
            raise JudgeRetry("busy")
        await asyncio.sleep(0.01)
        raise JudgeStopped("no credits")

    schedule = RetrySchedule(first_delay_s=3600.0, max_delay_s=3600.0)

    async def work(client: Client) -> Any:
        return await asyncio.wait_for(
            asyncio.gather(client.ask(question("slow")), client.ask(question("fast")), return_exceptions=True), 10
        )

    outcomes = run(tmp_path / "j", Handmade(answer), work, schedule=schedule)
    assert all(isinstance(outcome, JudgeStopped) for outcome in outcomes)


def test_requests_that_all_fail_stop_the_run_but_a_few_bad_ones_do_not(tmp_path: Path) -> None:
    async def reject(request: Request) -> Reply:
        raise JudgeRejected("no such parameter")

    outcomes = run(tmp_path / "j1", Handmade(reject), lambda c: ask_many(c, 50), max_concurrent=2)
    assert any(isinstance(o, JudgeStopped) and "no such parameter" in str(o) for o in outcomes)

    async def reject_most(request: Request) -> Reply:
        if request == question("q0"):
            return Reply("[1]", "m")
        raise JudgeRejected("too long")

    outcomes = run(tmp_path / "j2", Handmade(reject_most), lambda c: ask_many(c, 50), max_concurrent=1)
    assert sum(isinstance(o, Failure) for o in outcomes) == 49


def test_concurrency_keeps_both_limits(tmp_path: Path) -> None:
    judge = Handmade()
    run(tmp_path / "j", judge, lambda c: ask_many(c, 50), max_concurrent=7)
    assert judge.most_at_once == 7
    shy = Handmade(max_concurrent=2)
    run(tmp_path / "k", shy, lambda c: ask_many(c, 50), max_concurrent=7)
    assert shy.most_at_once == 2


def test_request_ceiling_is_exact_under_concurrency_and_over_sessions(tmp_path: Path) -> None:
    judge = Handmade()
    budget = Budget(max_requests=33)
    outcomes = run(tmp_path / "j", judge, lambda c: ask_many(c, 100), budget=budget, max_concurrent=16)
    assert len(judge.asked) == 33
    assert sum(isinstance(o, Reply) for o in outcomes) == 33
    assert all(isinstance(o, Reply | LimitReached) for o in outcomes)
    with open_journal(tmp_path / "j") as journal:
        totals = journal.totals()
    assert totals.n_sent == 33
    again = Handmade()
    budget = Budget(max_requests=40, n_requests=totals.n_sent, spent_usd=totals.usd)
    run(tmp_path / "j", again, lambda c: ask_many(c, 100), budget=budget)
    assert len(again.asked) == 7


class Priced(Handmade):
    """Costs half a dollar at most, and that."""

    def bound_usd(self, request: Request) -> float:
        return 0.5


def test_money_ceiling_holds_under_concurrency(tmp_path: Path) -> None:
    judge = Priced()
    outcomes = run(tmp_path / "j", judge, lambda c: ask_many(c, 100), budget=Budget(max_usd=10.2), max_concurrent=16)
    assert len(judge.asked) == 20
    assert sum(isinstance(o, LimitReached) for o in outcomes) == 80


@pytest.mark.parametrize(
    ("error", "n_asked"),
    [
        (JudgeRetry("the connection broke"), 4),  # the reply may have been on its way, and is on the bill
        (JudgeRetry("no reply in time", is_overload=True), 4),
        (JudgeRetry("HTTP 500", is_unpaid=True), 6),
        (JudgeRetry("HTTP 429", retry_after_s=0.0), 6),
        (JudgeRetry("connection refused", is_connection=True), 6),
    ],
)
def test_what_may_have_been_charged_counts_against_the_ceiling(tmp_path: Path, error: JudgeRetry, n_asked: int) -> None:
    async def fail(request: Request) -> Reply:
        raise error

    judge, schedule = Priced(fail), replace(FAST, max_turned_away=6, n_dead=99)
    outcomes = run(tmp_path / "j", judge, lambda c: ask_many(c, 1), budget=Budget(max_usd=2.2), schedule=schedule)
    assert len(judge.asked) == n_asked
    assert isinstance(outcomes[0], LimitReached if n_asked == 4 else Failure)


def test_what_may_have_been_charged_is_remembered_by_the_next_session(tmp_path: Path) -> None:
    async def fail(request: Request) -> Reply:
        raise JudgeRetry("the connection broke")

    judge, schedule = Priced(fail), replace(FAST, max_attempts=3, n_dead=99)
    run(tmp_path / "j", judge, lambda c: ask_many(c, 1), schedule=schedule)
    with open_journal(tmp_path / "j") as journal:
        totals = journal.totals()
    assert (totals.usd, totals.lost_usd) == (0.0, pytest.approx(len(judge.asked) * judge.bound_usd(judge.asked[0])))
    assert totals.lost_usd > 0


def test_money_ceiling_holds_where_only_replies_tell_the_price(tmp_path: Path) -> None:
    judge = Handmade()
    run(tmp_path / "j", judge, lambda c: ask_many(c, 100), budget=Budget(max_usd=10.2), max_concurrent=16)
    assert 15 <= len(judge.asked) <= 20


def test_a_ceiling_nobody_can_keep_stops_the_run_after_one_reply(tmp_path: Path) -> None:
    async def answer(request: Request) -> Reply:
        return Reply("[1]", "m")

    judge = Handmade(answer)
    outcomes = run(tmp_path / "j", judge, lambda c: ask_many(c, 10), budget=Budget(max_usd=1.0))
    assert len(judge.asked) == 1
    assert all(isinstance(o, LimitReached) for o in outcomes)


def test_the_cache_serves_other_runs_and_not_local_judges(tmp_path: Path) -> None:
    with open_reply_cache(tmp_path / "cache") as cache:
        run(tmp_path / "j1", Handmade(), lambda c: ask_many(c, 5), cache=cache)
        second = Handmade()
        run(tmp_path / "j2", second, lambda c: ask_many(c, 5), cache=cache)
        assert second.asked == []
        other = Handmade(model="another")
        run(tmp_path / "j3", other, lambda c: ask_many(c, 5), cache=cache)
        assert len(other.asked) == 5
        local = Handmade(is_local=True)
        run(tmp_path / "j4", local, lambda c: ask_many(c, 5), cache=cache)
        assert len(local.asked) == 5
    with open_journal(tmp_path / "j2") as journal:
        totals = journal.totals()
    assert (totals.n_from_cache, totals.n_sent, totals.usd) == (5, 0, 0.0)


def test_a_model_that_took_anothers_place_gets_none_of_its_replies(tmp_path: Path) -> None:
    with open_reply_cache(tmp_path / "cache") as cache:
        run(tmp_path / "j1", Handmade(identity="old"), lambda c: ask_many(c, 5), cache=cache)
        same, other = Handmade(identity="old"), Handmade(identity="new")
        run(tmp_path / "j2", same, lambda c: ask_many(c, 5), cache=cache)
        run(tmp_path / "j3", other, lambda c: ask_many(c, 5), cache=cache)
        assert (len(same.asked), len(other.asked)) == (0, 5)
        resumed = Handmade(identity="new")
        run(tmp_path / "j1", resumed, lambda c: ask_many(c, 5), cache=cache)
        assert resumed.asked == [], "a run's own journal goes by the name"


def test_who_shares_no_replies_takes_none_and_leaves_none(tmp_path: Path) -> None:
    with open_reply_cache(tmp_path / "cache") as cache:
        run(tmp_path / "j1", Handmade(), lambda c: ask_many(c, 5), cache=cache)
        for name in ("j2", "j3"):
            alone = Handmade(is_shared=False)
            run(tmp_path / name, alone, lambda c: ask_many(c, 8), cache=cache)
            assert len(alone.asked) == 8
        run(tmp_path / "j4", later := Handmade(), lambda c: ask_many(c, 8), cache=cache)
        assert len(later.asked) == 3


def test_without_reuse_the_cache_of_other_runs_is_passed_over_and_the_own_journal_is_not(tmp_path: Path) -> None:
    with open_reply_cache(tmp_path / "cache") as cache:
        run(tmp_path / "j1", Handmade(), lambda c: ask_many(c, 5), cache=cache)
        anew, again, later = Handmade(), Handmade(), Handmade()
        run(tmp_path / "j2", anew, lambda c: ask_many(c, 8), cache=cache, reuse=False)
        run(tmp_path / "j2", again, lambda c: ask_many(c, 8), cache=cache, reuse=False)
        assert (len(anew.asked), len(again.asked)) == (8, 0)
        run(tmp_path / "j3", later, lambda c: ask_many(c, 8), cache=cache)
        assert later.asked == []  # what was paid for without reuse serves others
    with open_journal(tmp_path / "j2") as journal:
        totals = journal.totals()
    assert (totals.n_from_cache, totals.n_sent, totals.usd) == (0, 8, 4.0)


def test_the_first_request_of_a_prompt_goes_alone_unless_the_judge_is_local_or_the_journal_answers(
    tmp_path: Path,
) -> None:
    at_once: list[int] = []

    async def answer(request: Request) -> Reply:
        at_once.append(judge.n_at_once)
        await asyncio.sleep(0.002)
        return Reply("[1]", "m")

    judge = Handmade(answer)
    run(tmp_path / "j", judge, lambda c: ask_many(c, 20))
    assert at_once[0] == 1  # without the warm-up all have begun before the first is answered
    assert judge.most_at_once >= 7
    local = Handmade(is_local=True)
    run(tmp_path / "k", local, lambda c: ask_many(c, 7))
    assert local.most_at_once == 7
    both = [[Message("system", name), Message("user", f"q{n}")] for n in range(4) for name in ("explain", "score")]

    async def ask_both(client: Client) -> None:
        await asyncio.gather(*(client.ask(replace(question(), messages=tuple(messages))) for messages in both))

    two = Handmade(answer)
    judge = two
    at_once.clear()
    run(tmp_path / "two", two, ask_both)
    assert at_once[:2] == [2, 2]  # one of each prompt
    assert max(at_once) > 2


def test_a_cancelled_caller_does_not_lose_a_paid_reply(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        asking = asyncio.ensure_future(client.ask(question()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    judge = Handmade()
    run(tmp_path / "j", judge, work)
    assert len(judge.asked) == 1
    with open_journal(tmp_path / "j") as journal:
        assert journal.totals().n_replies == 1


def test_a_closed_client_asks_no_more(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        await client.aclose()
        with pytest.raises(RunStopped, match="closed"):
            await client.ask(question())

    run(tmp_path / "j", Handmade(), work)


def test_the_request_is_kept_in_full(tmp_path: Path) -> None:
    from autointerp.judges.reply_key import reply_key

    judge = Handmade()
    run(tmp_path / "j", judge, lambda c: ask_many(c, 3))
    with open_journal(tmp_path / "j") as journal:
        kept = journal.load_request(reply_key(judge.capabilities, question("q1")))
    assert kept is not None
    assert [message["content"] for message in kept["messages"]] == ["Judge.", "Judge q1."]
    assert kept["max_tokens"] == 50


def test_half_characters_neither_stop_the_journal_nor_differ_after_it(tmp_path: Path) -> None:
    async def answer(request: Request) -> Reply:
        return Reply("half \ud83d", "m")

    first = run(tmp_path / "j", Handmade(answer), lambda c: c.ask(question()))
    second = run(tmp_path / "j", Handmade(answer), lambda c: c.ask(question()))
    assert first == second == Reply("half ?", "m")


class Halves:
    """Puts a question of two words as two."""

    def count(self, request: Request) -> int:
        return 2

    def split(self, request: Request) -> tuple[Request, ...]:
        text = request.messages[-1].content
        return (
            tuple(replace(request, messages=(Message("user", word),)) for word in text.split()) if " " in text else ()
        )

    def join(self, outcomes: Any) -> Any:
        return Reply("+".join(outcome.text for outcome in outcomes), "m")


def test_a_small_judge_is_asked_in_parts_that_are_journalled_each_and_a_large_one_is_not(tmp_path: Path) -> None:
    async def echo(request: Request) -> Reply:
        return Reply(request.messages[-1].content, "m")

    two_words = replace(question(), messages=(Message("user", "left right"),))
    account = Account("d", "e", "s", 3, None, ("w1", "w2"))
    for is_small, said in ((True, ["left", "right"]), (False, ["left right"])):
        judge, path = Handmade(echo, is_small=is_small), tmp_path / f"{is_small}"

        async def ask(client: Client) -> tuple[Any, int]:
            return await client.ask(two_words, account=account), client.count(two_words)

        reply, n = run(path, judge, ask, splitting=Halves())
        assert (reply.text, n) == ("+".join(said), len(said))
        assert [request.messages[-1].content for request in judge.asked] == said
        again = Handmade(echo, is_small=is_small)
        assert run(path, again, ask, splitting=Halves())[0].text == "+".join(said)
        assert again.asked == []
