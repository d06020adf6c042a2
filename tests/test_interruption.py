"""Signals: the first lets what is paid for come in, the second ends at once, and who heard them before does again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from autointerp.errors import Interrupted, JudgeStopped
from autointerp.interruption import Interruption
from autointerp.judges.engine.client import Client
from autointerp.judges.judge import Reply, Request, Usage
from autointerp.runs.journal import open_journal
from autointerp.runs.reply_cache import open_reply_cache
from autointerp.workers import Tally, Work, run_steps
from tests.judges.questions import limits, question
from tests.judges.test_client import Budget, Handmade

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _hangup_is_heard() -> Iterator[None]:
    """`nohup make test` ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 129, "SIGHUP")],
)
def test_leaving_raises_what_came_with_the_shells_exit_code(number: int, code: int, word: str) -> None:
    before = signal.getsignal(number)
    heard: list[Interrupted] = []
    with pytest.raises(Interrupted, match=word) as caught, Interruption() as interruption:
        interruption.then(heard.append)
        send(number)
    assert caught.value.exit_code == code
    assert heard == [caught.value]
    assert signal.getsignal(number) is before


def test_what_else_went_wrong_comes_first_and_a_cancelled_loop_does_not() -> None:
    with pytest.raises(JudgeStopped), Interruption():
        send(signal.SIGTERM)
        raise JudgeStopped("wrong key")
    with pytest.raises(Interrupted), Interruption() as interruption:

        async def wait() -> None:
            task, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert task is not None
            interruption.then(lambda _: loop.call_soon_threadsafe(task.cancel))
            send(signal.SIGTERM)
            await asyncio.sleep(3600)

        asyncio.run(wait())


def test_a_sleep_ends_with_the_signal_and_one_that_came_before_ends_it_at_once() -> None:
    for is_before in (False, True):
        with pytest.raises(Interrupted), Interruption() as interruption:
            timer = threading.Timer(0.05, send, [signal.SIGTERM])
            send(signal.SIGTERM) if is_before else timer.start()
            interruption.sleep(3600)


def test_a_signal_that_is_ignored_stays_so_and_other_threads_hear_none() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            send(signal.SIGHUP)
            assert interruption.reason is None
    finally:
        signal.signal(signal.SIGHUP, before)

    def elsewhere() -> None:
        with Interruption():
            pass

    with ThreadPoolExecutor() as pool:
        pool.submit(elsewhere).result()


def test_the_second_signal_ends_the_process_at_once() -> None:
    script = (
        "import os, signal, time\n"
        "from autointerp.interruption import Interruption\n"
        "with Interruption():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('one', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "one\n")


class Slow(Handmade):
    """Answers when it is let, and says how many wait for that."""

    def __init__(self) -> None:
        self.let = asyncio.Event()

        async def answer(request: Request) -> Reply:
            await self.let.wait()
            return Reply("[1, 0]", "m", usage=Usage(10, 2, 0, 0.5))

        super().__init__(answer)


def test_what_is_in_flight_is_journalled_and_nothing_more_is_sent(tmp_path: Path) -> None:
    async def work(interruption: Interruption) -> Slow:
        judge, loop = Slow(), asyncio.get_running_loop()
        with open_journal(tmp_path / "j") as journal, open_reply_cache(tmp_path / "cache") as cache:
            settings: dict[str, Any] = {"limits": limits(max_concurrent=4), "budget": Budget()}
            async with Client(judge, journal=journal, cache=cache, **settings) as client:

                def stop(reason: Interrupted) -> None:
                    assert client.patience_s == limits().timeout_s
                    n_in_flight.append(client.counters.n_in_flight)
                    client.stop(reason)
                    loop.call_later(0.05, judge.let.set)

                interruption.then(lambda reason: loop.call_soon_threadsafe(stop, reason))

                async def step(number: int) -> None:
                    if number == 3:
                        loop.call_later(0.05, send, signal.SIGTERM)
                    await client.ask(question(f"q{number}"))

                steps = (lambda number=number: step(number) for number in range(100))
                try:
                    await run_steps(Work(client, "j", journal, Tally(100), None), steps, 20)
                except Interrupted:
                    asked.append(len(judge.asked))
                    raise
        return judge

    asked: list[int] = []
    n_in_flight: list[int] = []
    with pytest.raises(Interrupted, match="the same command goes on"), Interruption() as interruption:
        asyncio.run(work(interruption))
    with open_journal(tmp_path / "j") as journal:
        totals = journal.totals()
    assert 0 < n_in_flight[0] == asked[0] == totals.n_replies < 100
    assert (totals.n_failed_attempts, totals.usd) == (0, 0.5 * totals.n_replies)


def test_what_does_not_come_in_time_is_counted_as_paid(tmp_path: Path) -> None:
    async def work() -> None:
        judge = Slow()
        judge.bound_usd = lambda request: 0.5  # type: ignore[attr-defined]
        with open_journal(tmp_path / "j") as journal:
            client = Client(judge, journal=journal, cache=None, limits=limits(timeout_s=0.2), budget=Budget())
            asking = asyncio.ensure_future(client.ask(question()))
            await asyncio.sleep(0.01)
            client._timeout_s = 0.01  # what is under way has more time than the closing waits
            await client.aclose()
            asking.cancel()

    asyncio.run(work())
    with open_journal(tmp_path / "j") as journal:
        totals = journal.totals()
    assert (totals.n_replies, totals.n_failed_attempts, totals.lost_usd) == (0, 1, 0.5)
