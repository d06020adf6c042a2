"""Gathering questions: batches fill, nobody's answer gets lost or mixed up, and whoever leaves is left out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.errors import JudgeRejected, JudgeStopped
from autointerp.judges.in_process.batching import Batcher, Waiting


class Engine:
    """Doubles numbers, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.go = threading.Event()
        self.go.set()

    def answer(self, batch: Sequence[Waiting[int]]) -> Iterator[Any]:
        self.batches.append([waiting.question for waiting in batch])
        self.threads.add(threading.current_thread().name)
        assert self.go.wait(10)
        return enumerate([JudgeRejected("odd") if w.question % 2 else w.question * 2 for w in batch])

    def batcher(self, size: int, quiet_s: float = 0.02) -> Batcher[int, int]:
        return Batcher[int, int](self.answer, size=size, quiet_s=quiet_s, name="test")


@given(n=st.integers(1, 40), size=st.integers(1, 12))
def test_everybody_gets_their_own_answer_and_batches_are_full(n: int, size: int) -> None:
    engine = Engine()

    async def inner() -> list[int]:
        batcher = engine.batcher(size, 0.001)
        answers = await asyncio.gather(*(batcher.ask(2 * i) for i in range(n)))
        await batcher.aclose()
        return answers

    assert asyncio.run(inner()) == [4 * i for i in range(n)]
    assert [len(batch) for batch in engine.batches] == [size] * (n // size) + ([n % size] if n % size else [])
    assert all(name.startswith("test") for name in engine.threads)


def test_what_comes_while_a_batch_is_answered_makes_up_the_next() -> None:
    engine = Engine()

    async def inner() -> None:
        batcher = engine.batcher(10)
        engine.go.clear()
        first = asyncio.ensure_future(batcher.ask(0))
        while not engine.batches:
            await asyncio.sleep(0.005)
        later = [asyncio.ensure_future(batcher.ask(2 * i)) for i in range(1, 6)]
        await asyncio.sleep(0.01)
        engine.go.set()
        assert await first == 0
        assert await asyncio.gather(*later) == [4 * i for i in range(1, 6)]
        await batcher.aclose()

    asyncio.run(inner())
    assert engine.batches == [[0], [2, 4, 6, 8, 10]]


def test_an_error_is_its_questions_own_and_a_raised_one_is_everybodys() -> None:
    def fail(_: Any) -> list[Any]:
        raise JudgeStopped("no engine")

    async def inner() -> tuple[list[Any], list[Any]]:
        batcher = Engine().batcher(4)
        own = await asyncio.gather(*(batcher.ask(i) for i in range(4)), return_exceptions=True)
        broken = Batcher[int, int](fail, size=4, quiet_s=0.01, name="test")
        shared = await asyncio.gather(*(broken.ask(i) for i in range(3)), return_exceptions=True)
        await asyncio.gather(batcher.aclose(), broken.aclose())
        return own, shared

    own, shared = asyncio.run(inner())
    assert [type(answer) for answer in own] == [int, JudgeRejected, int, JudgeRejected]
    assert [str(error) for error in shared] == ["no engine"] * 3


def test_an_answer_comes_when_it_is_there_and_a_later_failure_takes_none_back() -> None:
    go = threading.Event()

    def answer(_: Any) -> Iterator[Any]:
        yield 1, 10
        assert go.wait(10)
        raise JudgeStopped("the engine died")

    async def inner() -> tuple[int, Any, Any]:
        batcher = Batcher[int, int](answer, size=3, quiet_s=0.01, name="test")
        asked = [asyncio.ensure_future(batcher.ask(i)) for i in range(3)]
        early = await asked[1]
        assert not asked[0].done()
        go.set()
        late = await asyncio.gather(asked[0], asked[2], return_exceptions=True)
        await batcher.aclose()
        return early, *late

    early, *late = asyncio.run(inner())
    assert early == 10
    assert [str(error) for error in late] == ["the engine died"] * 2


def test_a_question_left_unanswered_is_told_so() -> None:
    async def inner() -> None:
        batcher = Batcher[int, int](lambda _: iter([(0, 5)]), size=2, quiet_s=0.01, name="test")
        first, second = await asyncio.gather(batcher.ask(0), batcher.ask(1), return_exceptions=True)
        assert first == 5
        assert isinstance(second, JudgeStopped)
        await batcher.aclose()

    asyncio.run(inner())


def test_whoever_leaves_is_left_out() -> None:
    engine = Engine()

    async def inner() -> None:
        batcher = engine.batcher(3, 0.05)
        tasks = [asyncio.ensure_future(batcher.ask(2 * i)) for i in range(5)]
        await asyncio.sleep(0)
        for i in (0, 1, 2):
            tasks[i].cancel()
        assert await tasks[3] == 12
        assert await tasks[4] == 16
        await batcher.aclose()

    asyncio.run(inner())
    assert engine.batches == [[6, 8]]


def test_closing_waits_for_the_batch_under_way_and_turns_others_away() -> None:
    engine = Engine()
    last: list[str] = []

    async def inner() -> None:
        batcher = engine.batcher(1)
        engine.go.clear()
        first = asyncio.ensure_future(batcher.ask(4))
        second = asyncio.ensure_future(batcher.ask(6))
        while not engine.batches:
            await asyncio.sleep(0.005)
        closing = asyncio.ensure_future(batcher.aclose(lambda: last.append(threading.current_thread().name)))
        await asyncio.sleep(0.01)
        assert not closing.done()
        assert batcher.is_closed
        engine.go.set()
        await closing
        assert await first == 8
        with pytest.raises(JudgeStopped, match="'test' was closed"):
            await second
        with pytest.raises(JudgeStopped, match="'test' was closed"):
            await batcher.ask(8)
        await batcher.aclose()

    asyncio.run(inner())
    assert set(last) == engine.threads


def test_it_serves_one_event_loop_after_another() -> None:
    engine = Engine()
    batcher = engine.batcher(2)
    assert asyncio.run(batcher.ask(2)) == 4

    async def abandoned() -> None:
        asyncio.ensure_future(batcher.ask(4))  # noqa: RUF006  # the loop ends before it is answered
        await asyncio.sleep(0)

    asyncio.run(abandoned())
    assert asyncio.run(batcher.ask(6)) == 12


def test_the_event_loop_is_free_while_a_batch_is_answered() -> None:
    def sleep(batch: Sequence[Waiting[int]]) -> Iterator[Any]:
        time.sleep(0.1)
        return enumerate([0] * len(batch))

    async def inner() -> int:
        batcher = Batcher[int, int](sleep, size=1, quiet_s=0.01, name="test")
        task, n_turns = asyncio.ensure_future(batcher.ask(1)), 0
        while not task.done():
            await asyncio.sleep(0.001)
            n_turns += 1
        await batcher.aclose()
        return n_turns

    assert asyncio.run(inner()) > 5
