"""The limiter: pauses are shared, delays grow and are the same every time, pressure follows what the endpoint bears."""

from __future__ import annotations

import asyncio
import time

import pytest

from autointerp.errors import JudgeRetry, JudgeStopped, RunStopped
from autointerp.judges.engine.limits import Limiter, RetrySchedule
from autointerp.judges.judge import RateLimits


def limiter(n_concurrent: int = 4, **schedule: object) -> Limiter:
    defaults = {"first_delay_s": 0.001, "max_delay_s": 0.01, "dead_after_s": 0.01}
    return Limiter(
        endpoint="http://e",
        n_concurrent=n_concurrent,
        schedule=RetrySchedule(**{**defaults, **schedule}),  # type: ignore[arg-type]
    )


def test_a_pause_asked_for_once_is_kept_by_all() -> None:
    sent: list[float] = []

    async def main() -> float:
        limits, first = limiter(), True

        async def attempt() -> str:
            nonlocal first
            sent.append(time.monotonic())
            if first:
                first = False
                raise JudgeRetry("slow down", retry_after_s=0.2)
            return "ok"

        paused = asyncio.ensure_future(limits.run(attempt, key="a"))
        await asyncio.sleep(0.01)
        start = time.monotonic()
        await asyncio.gather(paused, *(limits.run(attempt, key=f"k{i}") for i in range(10)))
        return start

    start = asyncio.run(main())
    assert len(sent) == 12
    assert all(moment - sent[0] >= 0.2 for moment in sent[1:])
    assert start < sent[1]


def test_a_pause_too_long_to_wait_for_stops_the_run() -> None:
    async def attempt() -> str:
        raise JudgeRetry("quota of the day", retry_after_s=86_400)

    with pytest.raises(JudgeStopped, match="pause of 86400 s"):
        asyncio.run(limiter().run(attempt, key="a"))


def test_connection_failures_stop_the_run_only_without_any_answer_between() -> None:
    async def main(n_dead: int, works_at: set[int]) -> int:
        limits, n = limiter(n_concurrent=1, n_dead=n_dead, dead_after_s=0.0, max_attempts=3), 0

        async def attempt() -> str:
            nonlocal n
            n += 1
            if n in works_at:
                return "ok"
            raise JudgeRetry("refused", is_connection=True)

        for i in range(8):
            try:
                await limits.run(attempt, key=str(i))
            except JudgeRetry:
                continue
        return n

    assert asyncio.run(main(5, {4, 8, 12, 16})) == 16
    with pytest.raises(JudgeStopped, match="http://e cannot be reached"):
        asyncio.run(main(5, {4}))


def test_delays_grow_up_to_their_limit_and_repeat_exactly() -> None:
    def delays(key: str) -> list[float]:
        slept: list[float] = []
        limits = limiter(first_delay_s=1.0, max_delay_s=4.0, max_attempts=6)

        async def sleep(delay_s: float) -> None:
            slept.append(delay_s)

        limits._breaker.sleep = sleep  # type: ignore[method-assign]

        async def attempt() -> str:
            raise JudgeRetry("busy")

        with pytest.raises(JudgeRetry):
            asyncio.run(limits.run(attempt, key=key))
        return slept

    seen = delays("a")
    assert len(seen) == 5
    for delay_s, nominal_s in zip(seen, [1.0, 2.0, 4.0, 4.0, 4.0], strict=True):
        assert nominal_s * 0.5 <= delay_s < nominal_s * 1.5
    assert seen == delays("a")
    assert seen != delays("b")


class Server:
    """An endpoint in memory that bears `capacity` at once and tells those beyond it to come later."""

    def __init__(self, capacity: int, *, retry_after_s: float | None = None) -> None:
        self.capacity, self.retry_after_s = capacity, retry_after_s
        self.n_at_once = self.most_at_once = self.n_answered = self.n_refused = 0

    async def attempt(self) -> str:
        self.n_at_once += 1
        self.most_at_once = max(self.most_at_once, self.n_at_once)
        is_too_much = self.n_at_once > self.capacity
        try:
            await asyncio.sleep(0.001)
        finally:
            self.n_at_once -= 1
        if is_too_much:
            self.n_refused += 1
            raise JudgeRetry("HTTP 429", is_overload=True, retry_after_s=self.retry_after_s)
        self.n_answered += 1
        return "ok"


@pytest.mark.parametrize("retry_after_s", [None, 0.003])
def test_it_finds_what_an_endpoint_bears_and_loses_nothing(retry_after_s: float | None) -> None:
    server = Server(12, retry_after_s=retry_after_s)

    async def main() -> list[str]:
        limits, waiting = limiter(64, max_attempts=30, max_pauses=300), iter(range(1500))

        async def work() -> list[str]:
            return [await limits.run(server.attempt, key=str(n)) for n in waiting]

        found = await asyncio.gather(*(work() for _ in range(80)))
        return [answer for answers in found for answer in answers]

    assert asyncio.run(main()) == ["ok"] * 1500
    assert server.n_answered == 1500
    assert 12 < server.most_at_once <= 32  # slow start: 8, 16 and perhaps 32, never all 64
    assert server.n_refused < 300


def test_after_a_pause_one_goes_first_and_only_its_answer_lets_the_others_through() -> None:
    at_once: list[int] = []

    async def main() -> None:
        limits, n_running, n_sent = limiter(8), 0, 0

        async def attempt() -> str:
            nonlocal n_running, n_sent
            n_running += 1
            n_sent += 1
            is_first_wave = n_sent <= 8
            if not is_first_wave:
                at_once.append(n_running)
            is_paused = is_first_wave or n_sent == 9
            await asyncio.sleep(0.002)
            n_running -= 1
            if is_paused:
                raise JudgeRetry("busy", retry_after_s=0.01)
            return "ok"

        await asyncio.gather(*(limits.run(attempt, key=str(n)) for n in range(8)))

    asyncio.run(main())
    assert at_once[:2] == [1, 1]  # the probe that was paused again, and the one that was answered
    assert max(at_once) > 1


def test_a_dead_endpoint_is_tried_a_few_times_whoever_waits() -> None:
    async def main() -> int:
        limits, n = limiter(64, n_dead=5, dead_after_s=0.04), 0

        async def attempt() -> str:
            nonlocal n
            n += 1
            raise JudgeRetry("refused", is_connection=True)

        waiting = (limits.run(attempt, key=str(i)) for i in range(200))
        outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
        assert all(isinstance(outcome, JudgeStopped) for outcome in outcomes)
        return n

    assert asyncio.run(main()) <= 8 + 5


def test_a_wrong_key_is_tried_once_where_prefixes_are_warmed_up() -> None:
    async def main() -> int:
        n = 0
        limits = Limiter(endpoint="e", n_concurrent=64, schedule=RetrySchedule(), is_warmed_up=True)

        async def attempt() -> str:
            nonlocal n
            n += 1
            await asyncio.sleep(0)
            raise JudgeStopped("wrong key")

        waiting = (limits.run(attempt, key=str(i), prefix="You are a judge.") for i in range(100))
        outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
        assert all(isinstance(outcome, JudgeStopped) for outcome in outcomes)
        return n

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize("is_failing", [False, True])
def test_the_first_of_each_prefix_goes_alone_and_then_all_its_others(is_failing: bool) -> None:
    running, seen = {"a": 0, "b": 0}, {"a": list[int](), "b": list[int]()}

    async def ask(limits: Limiter, prefix: str, key: str) -> None:
        async def attempt() -> str:
            running[prefix] += 1
            seen[prefix].append(running[prefix])
            await asyncio.sleep(0.005)
            running[prefix] -= 1
            if is_failing and len(seen[prefix]) == 1:
                raise JudgeRetry("HTTP 500")
            return "ok"

        await limits.run(attempt, key=key, prefix=prefix)

    async def main() -> None:
        schedule = RetrySchedule(first_delay_s=0.001, max_delay_s=0.01)
        limits = Limiter(endpoint="e", n_concurrent=64, schedule=schedule, is_warmed_up=True)
        await asyncio.gather(*(ask(limits, "ab"[n % 2], str(n)) for n in range(12)))

    asyncio.run(main())
    for counts in seen.values():
        assert counts[:2] == [1, 1]
        assert max(counts) >= 3


def test_many_prefixes_are_none_and_nobody_waits_for_another() -> None:
    from autointerp.judges.engine.warmup import Warmup

    async def main() -> int:
        warmup = Warmup()
        for n in range(1000):
            warmup.finish(await warmup.wait(f"prompt {n}"))
        return len(warmup._warm)

    assert asyncio.run(main()) == 64


def test_rate_limits_that_come_with_answers_are_kept() -> None:
    """Ten requests a window: the eleventh waits for the next one, although there is room for sixty-four."""
    sent: list[float] = []

    async def main() -> None:
        window_s, start = 0.15, time.monotonic()
        limits = Limiter(
            endpoint="e",
            n_concurrent=64,
            schedule=RetrySchedule(),
            meter=lambda answer: (RateLimits(requests_left=answer, requests_reset_s=window_s), 1),
        )

        async def attempt() -> int:
            sent.append(time.monotonic() - start)
            return max(0, 9 - (len(sent) - 1) % 10)

        await limits.run(attempt, key="first")
        await asyncio.gather(*(limits.run(attempt, key=str(n)) for n in range(14)))

    asyncio.run(main())
    assert len(sent) == 15
    assert sent[9] < 0.1
    assert sent[10] >= 0.15


def test_trouble_stays_with_few_requests_and_their_places_come_back() -> None:
    """An endpoint that fails on everything is not shown everything: who was failed waits in its place."""
    shown: set[str] = set()

    async def main() -> list[str | BaseException]:
        limits, is_well = limiter(4, max_attempts=4, n_lost=99), False

        async def ask(key: str) -> str:
            async def attempt() -> str:
                shown.add(key)
                await asyncio.sleep(0)
                if is_well:
                    return "ok"
                raise JudgeRetry("HTTP 500")

            return await limits.run(attempt, key=key)

        asking = [asyncio.ensure_future(ask(str(n))) for n in range(40)]
        while not asking[0].done():
            await asyncio.sleep(0)
        assert len(shown) <= 8
        is_well = True
        outcomes = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 10)
        assert limits._slots.n_taken == 0
        return outcomes

    outcomes = asyncio.run(main())
    assert sum(outcome == "ok" for outcome in outcomes) >= 32
    assert len(shown) == 40


def test_why_nothing_is_answered_can_be_asked_until_something_is() -> None:
    async def inner() -> None:
        pausing = Limiter(endpoint="e", n_concurrent=2, schedule=RetrySchedule())
        assert pausing.waiting is None

        async def refused() -> None:
            raise JudgeRetry("HTTP 429: slow down", retry_after_s=60.0)

        async def answered() -> None:
            return None

        task = asyncio.ensure_future(pausing.run(refused, key="k"))
        while (waiting := pausing.waiting) is None:
            await asyncio.sleep(0)
        assert waiting.reason == "HTTP 429: slow down"
        assert 0 < waiting.pause_s <= 60
        pausing.stop(RunStopped("enough"))
        with pytest.raises(RunStopped):
            await task
        healthy = Limiter(endpoint="e", n_concurrent=2, schedule=RetrySchedule())
        await healthy.run(answered, key="k")
        assert healthy.waiting is None

    asyncio.run(inner())
