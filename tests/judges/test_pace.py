"""The pace: what an endpoint takes in a second is learnt from 429s without a pause, and they cost no question."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from copy import copy
from itertools import pairwise

import pytest

from autointerp.errors import JudgeRetry, JudgeStopped
from autointerp.judges.endpoint.completion import status_error
from autointerp.judges.engine.limits import Limiter, RetrySchedule
from autointerp.judges.engine.pace import Pace
from tests.judges.loops import InstantLoop

NO_PAUSE = [
    *({"retry-after": value} for value in ("0", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "nan")),
    {"retry-after-ms": "0"},
    {},
]


def turned_away(status: int = 429, headers: dict[str, str] | None = None) -> Exception:
    return status_error(
        status, {}, headers or {}, endpoint="http://e", model="m", key_name="KEY", clean=lambda words: words
    )


class Server:
    """An endpoint in memory that answers `n_most` requests in any `window_s` seconds after `up_at`, and turns the
    others away at once."""

    def __init__(self, n_most: int, *, window_s: float = 1.0, up_at: float = 0.0, latency_s: float = 0.0) -> None:
        self.n_most, self.window_s, self.up_at, self.latency_s = n_most, window_s, up_at, latency_s
        self.sent_at: list[float] = []
        self._taken_at = deque[float]()

    async def attempt(self, error: Exception) -> str:
        now = asyncio.get_running_loop().time()
        self.sent_at.append(now)
        while self._taken_at and self._taken_at[0] <= now - self.window_s:
            self._taken_at.popleft()
        if now < self.up_at or len(self._taken_at) >= self.n_most:
            raise copy(error)
        self._taken_at.append(now)
        await asyncio.sleep(self.latency_s)
        return "ok"


def ask_all(
    attempt: Callable[[int], Callable[[], object]], n: int, n_concurrent: int = 16, **schedule: float
) -> tuple[list[object], float]:
    """What becomes of `n` questions, and the seconds it takes on a clock that nobody waits for."""

    async def main() -> tuple[list[object], float]:
        clock = asyncio.get_running_loop().time
        limits = Limiter(
            endpoint="http://e",
            n_concurrent=n_concurrent,
            schedule=RetrySchedule(**schedule),  # type: ignore[arg-type]
            clock=clock,
        )
        asking = (limits.run(attempt(i), key=str(i)) for i in range(n))  # type: ignore[arg-type]
        return await asyncio.gather(*asking, return_exceptions=True), clock()

    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(main())


@pytest.mark.parametrize(("status", "headers"), [*((429, headers) for headers in NO_PAUSE), (503, {}), (529, {})])
def test_fourteen_a_second_are_found_without_being_told(status: int, headers: dict[str, str]) -> None:
    server, error = Server(14), turned_away(status, headers)
    outcomes, seconds = ask_all(lambda _: lambda: server.attempt(error), 420)
    assert outcomes == ["ok"] * 420
    assert len(server.sent_at) <= 1.15 * 420
    assert seconds <= 36.0


@pytest.mark.parametrize("n_concurrent", [1, 16])
@pytest.mark.parametrize("latency_s", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("n_most", [3, 30])
def test_whatever_it_bears_most_of_it_is_used(n_most: int, latency_s: float, n_concurrent: int) -> None:
    n = n_most * 20
    server, error = Server(n_most, latency_s=latency_s), turned_away()
    outcomes, seconds = ask_all(lambda _: lambda: server.attempt(error), n, n_concurrent)
    assert outcomes == ["ok"] * n
    assert len(server.sent_at) <= 1.3 * n
    assert seconds <= 1.5 * max(20.0, latency_s * n / n_concurrent)


def test_sixty_a_minute_are_found_too_and_a_whole_minute_is_waited_for() -> None:
    server, error = Server(60, window_s=60.0), turned_away()
    outcomes, seconds = ask_all(lambda _: lambda: server.attempt(error), 300)
    assert outcomes == ["ok"] * 300
    assert len(server.sent_at) <= 1.3 * 300
    assert seconds <= 1.5 * 240.0


def test_waits_double_up_to_their_limit_while_nothing_is_answered_and_an_outage_is_forgotten() -> None:
    server, error = Server(1000, up_at=100.0, latency_s=1.0), turned_away()
    outcomes, seconds = ask_all(lambda _: lambda: server.attempt(error), 400, max_delay_s=20.0)
    assert outcomes == ["ok"] * 400
    moments = sorted(set(server.sent_at))
    gaps = [after - before for before, after in pairwise(moments) if before < 100.0]
    for gap_s, nominal_s in zip(gaps, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0, 20.0], strict=False):
        assert 0.5 * nominal_s <= gap_s < 1.5 * nominal_s
    assert len(gaps) < 14
    assert sum(moment < 100.0 for moment in server.sent_at) < 8 + 14
    assert seconds < 130.0 + 2 * 400 / 16


def test_an_endpoint_that_only_turns_away_stops_the_run_after_few_tries() -> None:
    server, error = Server(0), turned_away()
    outcomes, seconds = ask_all(lambda _: lambda: server.attempt(error), 100)
    assert all(isinstance(o, JudgeStopped) and o.exit_code == 3 and "HTTP 429" in str(o) for o in outcomes)
    assert len(server.sent_at) < 30
    assert 240.0 <= seconds < 330.0


@pytest.mark.parametrize(("n", "bad"), [(500, {3, 70, 71}), (500, {499}), (1, {0})])
def test_a_question_that_alone_is_turned_away_is_given_up_and_holds_up_nobody(n: int, bad: set[int]) -> None:
    n_tries = 0

    def attempt(i: int) -> Callable[[], object]:
        async def one() -> str:
            nonlocal n_tries
            await asyncio.sleep(0.1)
            if i in bad:
                n_tries += 1
                raise turned_away()
            return "ok"

        return one

    outcomes, seconds = ask_all(attempt, n)
    assert {i for i, outcome in enumerate(outcomes) if outcome != "ok"} == bad
    assert all(isinstance(outcomes[i], JudgeRetry) for i in bad)
    assert n_tries == 12 * len(bad)
    assert seconds < (60.0 if len(bad) > 1 else 240.0)


@pytest.mark.parametrize("error", [JudgeRetry("no reply in time", is_overload=True), turned_away(504)])
def test_a_time_out_uses_up_a_try(error: Exception) -> None:
    server = Server(0)
    outcomes, _ = ask_all(lambda _: lambda: server.attempt(error), 1)
    assert [str(outcome) for outcome in outcomes] == [str(error)]
    assert len(server.sent_at) == 6


def test_a_pause_that_is_named_is_kept_and_nothing_is_learnt_of_the_pace() -> None:
    pace = Pace(first_delay_s=0.5, max_delay_s=30.0)
    assert pace.hold_s() == 0.0
    n_sent = 0

    async def one() -> str:
        nonlocal n_sent
        n_sent += 1
        if n_sent == 1:
            raise turned_away(headers={"retry-after": "7"})
        return "ok"

    outcomes, seconds = ask_all(lambda _: one, 50)
    assert outcomes == ["ok"] * 50
    assert n_sent == 51
    assert 7.0 <= seconds < 7.0 * 1.1


def test_a_crowd_that_is_turned_away_is_one_fall_and_idle_time_is_no_slowness() -> None:
    now = 0.0
    pace = Pace(first_delay_s=0.5, max_delay_s=30.0, clock=lambda: now)

    def send(number: int, *, is_alone: bool = False) -> None:
        pace.note_sent(number, is_alone=is_alone)

    for number in range(1, 11):  # ten a second
        send(number, is_alone=True)
        now += 0.1
        pace.note_answer(number)
        pace.note_end()
    now += 1000.0  # nobody asks
    for number in range(11, 19):
        send(number, is_alone=number == 11)
    for number in range(11, 19):
        pace.note_turned_away(number, "a")
        pace.note_end()
    first_s = pace.hold_s()
    assert 0.25 <= first_s < 0.75
    now += first_s
    send(19, is_alone=True)
    pace.note_answer(19)
    assert pace.hold_s() == pytest.approx((0.9 + first_s) / 11, rel=0.2)
