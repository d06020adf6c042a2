"""The workers: a pool over an iterator, so that memory does not grow with the steps, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from autointerp.errors import JudgeStopped
from autointerp.judges.engine.client import Failure, Outcome
from autointerp.judges.judge import Reply, Request, Usage
from autointerp.records.verdict import Explanation, Unscored, Verdict
from autointerp.runs.reply_record import Account
from autointerp.workers import Tally, Work, guard, run_steps
from tests.judges.questions import question

VERDICT = Verdict("sae", 0, "windows", "detection", "j", "h", None, "w0", "random", False, "silent")


class Kept:
    def __init__(self) -> None:
        self.kept: list[object] = []
        self.n_flushes = 0

    def save_explanations(self, explanations: Iterable[Explanation]) -> None:
        self.kept += explanations

    def save_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        self.kept += verdicts

    def save_unscored(self, unscored: Iterable[Unscored]) -> None:
        self.kept += unscored

    def flush(self) -> None:
        self.n_flushes += 1


class Echo:
    """Answers what it is told to."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    async def ask(self, request: Request, *, account: Account | None = None) -> Outcome:
        return self.outcome


def make_work(recorder: Kept | None = None, *, outcome: Outcome | None = None, is_recorded_only: bool = False) -> Work:
    echo = Echo(outcome or Reply("yes", "m"))
    return Work(echo, "j", recorder, Tally(10), None, is_recorded_only)


def test_no_more_steps_are_begun_than_there_are_workers_nor_made_before_their_turn() -> None:
    begun, ended, n_ahead = 0, 0, [0]

    async def step() -> None:
        nonlocal begun, ended
        begun += 1
        await asyncio.sleep(0)
        ended += 1

    def steps() -> Iterator[Callable[[], Awaitable[None]]]:
        for n_made in range(1, 501):
            n_ahead.append(n_made - ended)
            yield step

    n_tasks: list[int] = []

    async def main() -> None:
        running = asyncio.ensure_future(run_steps(make_work(), steps(), 7))
        while not running.done():
            n_tasks.append(len(asyncio.all_tasks()))
            await asyncio.sleep(0)

    asyncio.run(main())
    assert begun == ended == 500
    assert max(n_ahead) == 7
    assert max(n_tasks) <= 7 + 2


def test_a_stop_ends_the_other_workers_and_flushes_once() -> None:
    kept, n_begun = Kept(), [0]

    async def step(number: int) -> None:
        n_begun[0] += 1
        await asyncio.sleep(0 if number == 3 else 3600)
        raise JudgeStopped("wrong key")

    steps = (partial(step, number) for number in range(100))
    with pytest.raises(JudgeStopped, match="wrong key"):
        asyncio.run(asyncio.wait_for(run_steps(make_work(kept), steps, 5), 10))
    assert n_begun == [5]
    assert kept.n_flushes == 1


@pytest.mark.parametrize("is_recorded_only", [False, True])
def test_records_that_the_recorder_keeps_need_not_gather(is_recorded_only: bool) -> None:
    kept = Kept()
    work = make_work(kept, is_recorded_only=is_recorded_only)
    verdicts = [VERDICT, replace(VERDICT, window="w1", answer="unparsed")]
    unscored = Unscored("sae", 1, "windows", "detection", "judge", "why")
    work.add_verdicts(verdicts)
    work.add_unscored(unscored)
    assert kept.kept == [*verdicts, unscored]
    assert (work.verdicts, work.unscored) == (([], []) if is_recorded_only else (verdicts, [unscored]))
    tally = work.tally
    assert (tally.n_verdicts, tally.n_unparsed, tally.n_unscored) == (2, 1, 1)


def test_requests_and_what_they_cost_are_counted() -> None:
    account = Account("sae", "windows", None)
    paid = make_work(outcome=Reply("yes", "m", usage=Usage(usd=0.25)))
    lost = make_work(outcome=Failure("error", "busy"))
    for work in (paid, paid, lost):
        asyncio.run(work.ask(question(), account))
    assert (paid.tally.n_requests, paid.tally.usd) == (2, 0.5)
    assert (lost.tally.n_requests, lost.tally.usd) == (1, 0.0)


def test_a_failing_step_becomes_none_and_a_stop_does_not() -> None:
    async def fail(error: Exception) -> str:
        raise error

    assert asyncio.run(guard("explaining sae/3", fail(ZeroDivisionError()))) is None
    with pytest.raises(JudgeStopped):
        asyncio.run(guard("explaining sae/3", fail(JudgeStopped("wrong key"))))
