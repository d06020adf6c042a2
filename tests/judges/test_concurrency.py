"""Slots: the number of places doubles, falls once per round-trip, rises by equal steps, and is never exceeded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.judges.engine.concurrency import Ending, Slots, Turn
from autointerp.judges.engine.quota import Quota
from autointerp.judges.judge import RateLimits
from tests.drawing import examples

OK, BUSY, FAILED, UNREACHED = Ending.ANSWERED, Ending.OVERLOADED, Ending.FAILED, Ending.UNREACHED


class Crowd:
    """More askers than places: `held` are the attempts under way, in the order their places were given."""

    def __init__(self, slots: Slots, n_waiting: int = 1000) -> None:
        self.slots, self.held = slots, list[int]()
        self._tasks = [asyncio.ensure_future(self._ask()) for _ in range(n_waiting)]

    async def _ask(self) -> None:
        number = await self.slots.take()
        self.held.append(number)

    async def settle(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def round_trip(self, ending: Ending = OK) -> int:
        """All that are under way end; how many are under way then."""
        await self.settle()
        ended, self.held = self.held, []
        for number in ended:
            self.slots.give_back(number, ending)
        await self.settle()
        return len(self.held)

    def leave(self) -> None:
        for task in self._tasks:
            task.cancel()


def with_crowd(slots: Slots, work: Callable[[Crowd], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        crowd = Crowd(slots)
        try:
            return await work(crowd)
        finally:
            crowd.leave()

    return asyncio.run(main())


def test_it_starts_small_and_doubles_up_to_the_ceiling() -> None:
    async def work(crowd: Crowd) -> list[int]:
        await crowd.settle()
        return [len(crowd.held), *[await crowd.round_trip() for _ in range(5)]]

    assert with_crowd(Slots(ceiling=100), work) == [8, 16, 32, 64, 100, 100]
    assert with_crowd(Slots(ceiling=3), work) == [3] * 6


def test_an_overload_halves_once_however_many_it_hits_and_then_it_rises_by_equal_steps() -> None:
    async def work(crowd: Crowd) -> list[int]:
        for _ in range(4):
            await crowd.round_trip()
        seen = [len(crowd.held), await crowd.round_trip(BUSY)]
        return [*seen, *[await crowd.round_trip() for _ in range(4)]]

    # 64 places, a fall to 32, and 64 / 32 = 2 more per round-trip (a fraction of one is lost in rounding)
    seen = with_crowd(Slots(ceiling=64), work)
    assert seen[:2] == [64, 32]
    assert all(1 <= after - before <= 2 for before, after in pairwise(seen[1:]))
    assert seen[-1] >= 38


def test_falls_go_on_with_each_round_trip_that_fails_and_stop_at_one() -> None:
    async def work(crowd: Crowd) -> list[int]:
        return [await crowd.round_trip(BUSY) for _ in range(6)]

    assert with_crowd(Slots(ceiling=64, start=32), work) == [16, 8, 4, 2, 1, 1]


def test_a_late_failure_of_the_crowd_that_was_thinned_does_not_count_again() -> None:
    async def work(crowd: Crowd) -> list[int]:
        await crowd.settle()
        first, *others = crowd.held
        crowd.slots.give_back(first, BUSY)
        limits = [crowd.slots.limit]
        for number in others:
            crowd.slots.give_back(number, BUSY)
            limits.append(crowd.slots.limit)
        crowd.held = []
        await crowd.settle()
        crowd.slots.give_back(crowd.held[0], BUSY)  # sent after the fall
        return [*limits, crowd.slots.limit]

    assert with_crowd(Slots(ceiling=8), work) == [4] * 8 + [2]


def test_failures_that_are_no_overload_change_nothing() -> None:
    async def work(crowd: Crowd) -> list[int]:
        return [await crowd.round_trip(FAILED) for _ in range(3)]

    assert with_crowd(Slots(ceiling=64), work) == [8, 8, 8]


def test_places_that_nobody_wants_are_not_learnt() -> None:
    """A run that asks one thing at a time has shown nothing about sixty-four."""

    async def main() -> int:
        slots = Slots(ceiling=64)
        for _ in range(200):
            slots.give_back(await slots.take(), OK)
        return slots.limit

    assert asyncio.run(main()) == 8


def test_probing_lets_one_through_until_something_sent_since_was_answered() -> None:
    async def work(crowd: Crowd) -> None:
        await crowd.settle()
        slots, before = crowd.slots, crowd.held
        slots.probe()
        crowd.held = []
        for number in before:  # sent before: their answers say nothing about now
            assert slots.limit == 1
            slots.give_back(number, OK)
        await crowd.settle()
        for ending in (UNREACHED, BUSY, Ending.UNSENT):
            assert len(crowd.held) == 1
            assert await crowd.round_trip(ending) == 1
        assert await crowd.round_trip(OK) > 1

    with_crowd(Slots(ceiling=8), work)


def test_repeated_tries_go_first_and_the_others_in_their_order() -> None:
    order: list[str] = []

    async def ask(slots: Slots, name: str, turn: Turn) -> None:
        number = await slots.take(turn)
        order.append(name)
        slots.give_back(number, OK)

    async def main() -> None:
        slots = Slots(ceiling=1)
        held = await slots.take()
        turns = {"a": Turn.LAST, "b": Turn.LAST, "again": Turn.FIRST, "turned away": Turn.BEHIND_ONE, "c": Turn.LAST}
        asking = [asyncio.ensure_future(ask(slots, *each)) for each in turns.items()]
        await asyncio.sleep(0)
        slots.give_back(held, OK)
        await asyncio.gather(*asking)

    asyncio.run(main())
    assert order == ["again", "a", "turned away", "b", "c"]


def test_whoever_stops_waiting_leaves_no_hole() -> None:
    async def main() -> int:
        slots = Slots(ceiling=2)
        held = [await slots.take(), await slots.take()]
        waiting = [asyncio.ensure_future(slots.take()) for _ in range(6)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        slots.give_back(held[0], OK)  # the second is given its place, and cancelled before it learns of it
        waiting[1].cancel()
        await asyncio.wait_for(waiting[2], 5)
        slots.give_back(held[1], OK)
        await asyncio.wait_for(waiting[3], 5)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return slots.n_taken

    assert asyncio.run(main()) == 2


def test_a_place_held_is_good_for_another_try_as_long_as_there_are_as_many() -> None:
    async def main() -> None:
        slots = Slots(ceiling=4)
        first, second = await slots.take(), await slots.take()
        slots.note(first, FAILED)
        assert await slots.take_again() == 3  # a number of its own, no waiting
        slots.note(3, FAILED)
        slots.probe()  # one at a time now, and another is under way
        asking = asyncio.ensure_future(slots.take_again())
        await asyncio.sleep(0)
        assert not asking.done()
        assert slots.n_taken == 1
        slots.give_back(second, OK)
        assert await asyncio.wait_for(asking, 5) == 4
        slots.give_back(4, OK)
        assert (slots.n_taken, slots.limit) == (0, 4)

    asyncio.run(main())


def test_opened_wide_all_come_through_whatever_holds_them() -> None:
    async def main() -> list[int]:
        quota = Quota()
        quota.note(0, RateLimits(requests_left=0, requests_reset_s=50.0), n_tokens=0)
        slots = Slots(ceiling=2, quota=quota)
        waiting = [asyncio.ensure_future(slots.take()) for _ in range(9)]
        await asyncio.sleep(0)
        assert slots.n_taken == 0
        slots.open_wide()
        return await asyncio.wait_for(asyncio.gather(*waiting), 5)

    assert asyncio.run(main()) == list(range(1, 10))


@pytest.mark.parametrize("n_left", [0, 3])
def test_no_more_is_sent_than_the_quota_has_left_and_a_timer_goes_on(n_left: int) -> None:
    async def main() -> tuple[int, int]:
        quota = Quota()
        quota.note(0, RateLimits(requests_left=n_left, requests_reset_s=0.05), n_tokens=0)
        slots = Slots(ceiling=8, quota=quota)
        waiting = [asyncio.ensure_future(slots.take()) for _ in range(8)]
        await asyncio.sleep(0)
        before = slots.n_taken
        await asyncio.wait_for(asyncio.gather(*waiting), 5)
        return before, slots.n_taken

    assert asyncio.run(main()) == (n_left, 8)


@settings(deadline=None, max_examples=examples(60))
@given(
    ceiling=st.integers(1, 40),
    events=st.lists(st.tuples(st.integers(0, 50), st.sampled_from(list(Ending)), st.booleans()), max_size=120),
)
def test_whatever_happens_the_bounds_hold_and_nobody_is_forgotten(
    ceiling: int, events: list[tuple[int, Ending, bool]]
) -> None:
    async def work(crowd: Crowd) -> None:
        slots = crowd.slots
        await crowd.settle()
        for place, ending, is_probe in events:
            taken = len(crowd.held)
            if is_probe:
                slots.probe()
            slots.give_back(crowd.held.pop(place % taken), ending)
            await crowd.settle()
            assert 1 <= slots.limit <= ceiling
            assert slots.n_taken == len(crowd.held) >= 1
            assert len(crowd.held) <= max(slots.limit, taken - 1)
            assert len(crowd.held) >= min(slots.limit, taken)

    with_crowd(Slots(ceiling=ceiling), work)
