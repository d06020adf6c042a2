"""One odd reply among many: it is a counted failure or costs what is odd, and no paid reply around it is lost."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from autointerp.errors import JudgeRetry, JudgeStopped, LimitReached
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client, Failure
from autointerp.judges.judge import RateLimits, Reply, Request, Usage
from autointerp.runs.journal import open_journal
from tests.judges.questions import question
from tests.judges.test_client import Handmade, Priced, ask_many, run

N = 12
"""Questions, of which q3 gets the odd reply."""
SOUND = Reply("[1, 0]", "m", usage=Usage(10, 2, 0, 0.5))


class Odd(Priced):
    """Answers q3 in a way of its own; costs at most half a dollar, and says that of sound replies."""

    def __init__(self, odd: Any) -> None:
        async def answer(request: Request) -> Any:
            if request != question("q3"):
                return SOUND
            return odd() if callable(odd) else odd

        super().__init__(answer)


def deep() -> Any:
    return deep()


def raises(error: BaseException) -> Any:
    def act() -> Any:
        raise error

    return act


MENDED = {
    "half a character": Reply("half \ud83d", "m\ud800", usage=Usage(10, 2, 0, 0.5)),
    "2^64 - 1 cached tokens": Reply("[1]", "m", usage=Usage(10, 2, 2**64 - 1, 0.5)),
    "a number of 400 digits": Reply("[1]", "m", usage=Usage(10**400, 2, 0, 0.5)),
    "odd log-probabilities": Reply("[1]", "m", usage=Usage(10, 2, 0, 0.5), token_logprobs=5),  # type: ignore[arg-type]
    "rate limits of 400 digits": Reply("[1]", "m", usage=Usage(10, 2, 0, 0.5), rate_limits=RateLimits(10**400, 1.0)),
}
UNPRICED = {
    "a cost of 1e308": Usage(10, 2, 0, 1e308),
    "a cost below zero": Usage(10, 2, 0, -27.0),
    "a cost that is no number": Usage(10, 2, 0, math.nan),
    "no usage": None,
}
BROKEN = {
    "no finish": Reply("[1]", "m", finish=None),  # type: ignore[arg-type]
    "no reply": None,
    "KeyError": raises(KeyError("choices")),
    "JSON too deep": deep,
    "a number too long": lambda: float(10**400),
    "an error with half a character": raises(ValueError("half \ud800")),
    "a wrong kind of our own": raises(TypeError("x" * 100_000)),
}


@pytest.mark.filterwarnings("ignore:a reply of")
@pytest.mark.parametrize("odd", MENDED.values(), ids=MENDED)
def test_what_is_odd_about_a_reply_takes_nothing_else_along(odd: Reply, tmp_path: Path) -> None:
    first = run(tmp_path / "j", Odd(odd), lambda c: ask_many(c, N))
    again = Odd(odd)
    assert run(tmp_path / "j", again, lambda c: ask_many(c, N)) == first
    assert again.asked == [], "a paid reply was not journalled"
    with open_journal(tmp_path / "j") as journal:
        totals = journal.totals()
    assert (totals.n_replies, totals.n_failed_attempts, totals.usd) == (N, 0, 0.5 * N)


@pytest.mark.filterwarnings("ignore:a reply of")
@pytest.mark.parametrize("usage", UNPRICED.values(), ids=UNPRICED)
def test_a_cost_that_cannot_be_is_bounded_by_what_the_request_could_cost(usage: Any, tmp_path: Path) -> None:
    budget = Budget(max_usd=100.0)
    run(tmp_path / "j", Odd(Reply("[1]", "m", usage=usage)), lambda c: ask_many(c, N), budget=budget)
    with open_journal(tmp_path / "j") as journal:
        totals = journal.totals()
    assert (totals.n_replies, totals.n_unpriced, totals.usd) == (N, 1, 0.5 * (N - 1))
    assert totals.lost_usd == 0.5, "the next session's ceiling forgets it"
    assert budget.spent_usd == totals.usd + totals.lost_usd


@pytest.mark.parametrize("odd", BROKEN.values(), ids=BROKEN)
def test_what_is_no_reply_is_a_failure_counted_journalled_and_retried(odd: Any, tmp_path: Path) -> None:
    judge, budget = Odd(odd), Budget()
    outcomes = run(tmp_path / "j", judge, lambda c: ask_many(c, N), budget=budget)
    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Failure)] == [3]
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == N - 1
    n_tries = judge.asked.count(question("q3"))
    assert n_tries > 1
    with open_journal(tmp_path / "j") as journal:
        totals = journal.totals()
    assert (totals.n_replies, totals.n_failed_attempts) == (N - 1, n_tries)
    assert totals.lost_usd == 0.5 * n_tries, "it may have been paid for"
    assert budget.spent_usd == totals.usd + totals.lost_usd


def test_a_judge_that_fails_at_everything_ends_the_run_within_its_ceiling(tmp_path: Path) -> None:
    async def fail(request: Request) -> Reply:
        raise KeyError("choices")

    judge = Priced(fail)
    outcomes = run(tmp_path / "j", judge, lambda c: ask_many(c, 400), budget=Budget(max_usd=20.0))
    assert len(judge.asked) == 40
    assert any(isinstance(outcome, LimitReached) for outcome in outcomes)
    with open_journal(tmp_path / "j") as journal:
        totals = journal.totals()
    assert (totals.n_failed_attempts, totals.lost_usd) == (40, 20.0)
    again = Priced(fail)
    spent = Budget(max_usd=20.0, spent_usd=totals.usd + totals.lost_usd)
    run(tmp_path / "j", again, lambda c: ask_many(c, 400), budget=spent)
    assert again.asked == []
    free = Handmade(fail, is_local=True)
    outcomes = run(tmp_path / "k", free, lambda c: ask_many(c, 400))
    assert any(isinstance(outcome, JudgeStopped) and "KeyError: 'choices'" in str(outcome) for outcome in outcomes)


def test_a_ceiling_is_not_kept_by_guessing_what_a_broken_reply_cost(tmp_path: Path) -> None:
    async def fail(request: Request) -> Reply:
        raise KeyError("choices")

    judge = Handmade(fail)
    outcomes = run(tmp_path / "j", judge, lambda c: ask_many(c, 9), budget=Budget(max_usd=1.0))
    assert len(judge.asked) == 1
    assert all(isinstance(outcome, LimitReached) for outcome in outcomes)


@pytest.mark.parametrize("bound", [math.nan, -1.0, math.inf, "1", None, 10**400, raises(KeyError("model"))])
def test_a_bound_that_is_none_is_not_known(bound: Any, tmp_path: Path) -> None:
    class Unbounded(Handmade):
        def bound_usd(self, request: Request) -> Any:
            return bound() if callable(bound) else bound

    budget = Budget(max_usd=100.0)
    outcomes = run(tmp_path / "j", Unbounded(), lambda c: ask_many(c, 5), budget=budget)
    assert outcomes == [SOUND] * 5
    assert budget.spent_usd == 2.5


def test_what_stops_the_run_is_journalled_as_well(tmp_path: Path) -> None:
    async def stop(request: Request) -> Reply:
        raise JudgeStopped("wrong key")

    run(tmp_path / "j", Priced(stop), lambda c: ask_many(c, 1))
    with open_journal(tmp_path / "j") as journal:
        totals = journal.totals()
    assert (totals.n_failed_attempts, totals.lost_usd) == (1, 0.0)


def test_a_time_out_of_a_judge_without_a_time_out_is_a_failure(tmp_path: Path) -> None:
    """The message names the limit, and there is none."""

    async def fail(request: Request) -> Reply:
        raise TimeoutError

    async def work(client: Client) -> Any:
        return await client.ask(question())

    judge = Handmade(fail, is_local=True, is_batching=True)
    assert isinstance(run(tmp_path / "j", judge, work), Failure)


def test_a_server_that_says_half_a_character_in_an_error_loses_nothing(tmp_path: Path) -> None:
    judge = Odd(raises(JudgeRetry("HTTP 500: \ud800", is_unpaid=True)))
    run(tmp_path / "j", judge, lambda c: ask_many(c, N))
    with open_journal(tmp_path / "j") as journal:
        assert journal.totals().n_replies == N - 1
        assert journal.totals().n_failed_attempts == judge.asked.count(question("q3"))
