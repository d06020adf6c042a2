"""The breaker: which failures in a row end the run, which do not, and that pauses end a little apart."""

from __future__ import annotations

import asyncio

import pytest

from autointerp.errors import JudgeRejected, JudgeRetry, JudgeStopped, RunStopped
from autointerp.judges.engine.breaker import Breaker
from autointerp.judges.engine.schedule import RetrySchedule

UNREACHED = JudgeRetry("connection refused", is_connection=True)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock | None = None, **schedule: object) -> Breaker:
    return Breaker(endpoint="http://e", schedule=RetrySchedule(**schedule), clock=clock or Clock())  # type: ignore[arg-type]


def test_an_endpoint_that_nobody_reaches_is_given_up_within_seconds_and_five_tries() -> None:
    clock = Clock()
    health = breaker(clock)
    for _ in range(4):
        assert health.note_failure(UNREACHED)
        clock.now += RetrySchedule().probe_delay_s
    with pytest.raises(JudgeStopped, match=r"http://e cannot be reached \(connection refused\).*what is done is kept"):
        health.note_failure(UNREACHED)
    assert clock.now - Clock.now == pytest.approx(4.0)


def test_many_failures_in_one_moment_are_no_dead_endpoint() -> None:
    clock = Clock()
    health = breaker(clock)
    for _ in range(64):
        health.note_failure(UNREACHED)
    clock.now += 3.9
    health.note_failure(UNREACHED)
    health.note_answer()
    clock.now += 3.9
    health.note_failure(UNREACHED)  # the first in a row again


def test_a_request_that_never_works_does_not_end_a_run_that_goes_on() -> None:
    health = breaker(n_lost=3)
    health.note_answer()
    for _ in range(9):
        health.note_lost(JudgeRejected("too long"))
    for _ in range(9):
        health.note_lost(JudgeRetry("HTTP 500"))
        health.note_answer()


@pytest.mark.parametrize("error", [JudgeRejected("no such field"), JudgeRetry("HTTP 500")])
def test_requests_lost_in_a_row_end_it(error: JudgeRejected | JudgeRetry) -> None:
    health = breaker(n_lost=3)
    health.note_lost(error)
    health.note_lost(error)
    with pytest.raises(JudgeStopped, match=f"failed on 3 requests in a row, last with: {error}"):
        health.note_lost(error)


def test_what_an_earlier_session_had_answered_does_not_hide_a_dead_endpoint() -> None:
    health = breaker(n_lost=3)
    for _ in range(2):
        health.note_earlier_answer()
        health.note_lost(JudgeRetry("HTTP 500"))
    health.note_earlier_answer()
    with pytest.raises(JudgeStopped):
        health.note_lost(JudgeRetry("HTTP 500"))


def test_an_endpoint_that_never_replies_in_time_is_given_up_after_three_rounds_not_after_all_retries() -> None:
    clock = Clock()
    health = breaker(clock)
    for n_round in range(3):
        clock.now += 120.0
        for _ in range(8):
            if n_round == 2:
                with pytest.raises(JudgeStopped, match="has answered nothing for 240 s"):
                    health.note_failure(JudgeRetry("no reply", is_overload=True))
            else:
                assert not health.note_failure(JudgeRetry("no reply", is_overload=True))


def test_pauses_asked_for_are_no_silence_but_not_for_ever() -> None:
    clock = Clock()
    health = breaker(clock, max_pause_s=600.0)
    asked = JudgeRetry("HTTP 429", retry_after_s=200.0)
    for _ in range(3):
        for _ in range(8):  # all that were under way are told
            assert health.note_failure(asked)
        clock.now += 200.0
    health.note_answer()
    for _ in range(4):
        assert health.note_failure(asked)
        clock.now += 200.0
    with pytest.raises(JudgeStopped, match=r"one pause after the other and answers nothing.*HTTP 429"):
        health.note_failure(asked)


def test_a_pause_nobody_waits_for_ends_the_run() -> None:
    with pytest.raises(JudgeStopped, match="asks for a pause of 86400 s; run the same command again"):
        breaker().note_failure(JudgeRetry("quota of the day", retry_after_s=86_400.0))


def test_all_keep_the_longest_pause_and_come_back_apart_the_same_way_each_time() -> None:
    def waits() -> dict[str, float]:
        clock, slept = Clock(), {}
        health = breaker(clock)
        health.note_failure(JudgeRetry("busy", retry_after_s=100.0))
        health.note_failure(JudgeRetry("busy", retry_after_s=20.0))

        async def wait(key: str) -> None:
            clock.now = Clock.now

            async def sleep(delay_s: float) -> None:
                slept[key] = delay_s
                clock.now += delay_s

            health.sleep = sleep  # type: ignore[method-assign]
            await health.wait_out_pause(key)

        for key in map(str, range(20)):
            asyncio.run(wait(key))
        return slept

    slept = waits()
    assert all(100.0 <= delay_s < 110.0 for delay_s in slept.values())
    assert len(set(slept.values())) == 20
    assert slept == waits()


def test_stopped_it_says_so_once_and_wakes_whoever_sleeps() -> None:
    calls: list[str] = []

    async def main() -> None:
        health = Breaker(endpoint="e", schedule=RetrySchedule(), on_stop=lambda: calls.append("stopped"))
        sleeping = [asyncio.ensure_future(health.sleep(3600.0)) for _ in range(3)]
        await asyncio.sleep(0)
        health.stop(JudgeStopped("wrong key"))
        health.stop(RunStopped("another"))
        woken = await asyncio.wait_for(asyncio.gather(*sleeping, return_exceptions=True), 5)
        assert [(type(error), str(error)) for error in woken] == [(JudgeStopped, "wrong key")] * 3
        with pytest.raises(JudgeStopped, match="wrong key"):
            health.raise_if_stopped()

    asyncio.run(main())
    assert calls == ["stopped"]
