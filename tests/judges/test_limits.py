"""The limiter: pauses are shared, delays grow and are the same every time."""

from __future__ import annotations

import asyncio
import time

import pytest

from autointerp.errors import JudgeRetry, JudgeStopped
from autointerp.judges.limits import Limiter, RetrySchedule


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

        limits._sleep = sleep  # type: ignore[method-assign]

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
