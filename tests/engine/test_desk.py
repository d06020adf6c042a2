"""The desk: what is lent to all parts together is never more than what is left."""

from __future__ import annotations

import asyncio
import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.engine.desk import Desk
from autointerp.errors import LimitReached
from autointerp.judges.engine.budget import Budget

STEPS = st.lists(st.tuples(st.integers(0, 3), st.floats(0.001, 0.3), st.booleans()), max_size=60)


@given(STEPS, st.floats(0.0, 2.0), st.integers(0, 30))
def test_budgets_that_share_a_desk_keep_its_ceilings(
    steps: list[tuple[int, float, bool]], usd: float, n_requests: int
) -> None:
    """Also where a part dies with money lent, and another begins with what its journal says is spent."""

    async def ask_all() -> tuple[float, float]:
        desk = Desk(4, usd=usd, n_requests=n_requests)
        budgets = {part: shared(desk, part) for part in range(4)}
        for part, cost, dies in steps:
            if dies:
                budgets[part] = shared(desk, part, budgets[part].spent_usd, budgets[part].n_requests)
            try:
                budgets[part].settle(await budgets[part].reserve(cost), usd=cost)
            except LimitReached:
                continue
        return sum(b.spent_usd for b in budgets.values()), sum(b.n_requests for b in budgets.values())

    def shared(desk: Desk, part: int, spent_usd: float = 0.0, n_sent: int = 0) -> Budget:
        desk.settle(part, spent_usd, n_sent)
        return Budget(
            max_usd=usd, max_requests=n_requests, spent_usd=spent_usd, n_requests=n_sent, lend=partial(desk.lend, part)
        )

    spent, n_sent = asyncio.run(ask_all())
    assert spent <= usd + 1e-9
    assert n_sent <= n_requests


def test_all_that_is_left_can_be_spent_by_one_part() -> None:
    desk = Desk(4, usd=1.0, n_requests=128)
    budget = Budget(max_usd=1.0, max_requests=128, lend=partial(desk.lend, 2))

    async def spend() -> None:
        for _ in range(128):
            budget.settle(await budget.reserve(1 / 128), usd=1 / 128)

    asyncio.run(spend())
    assert (budget.n_requests, budget.spent_usd) == (128, 1.0)
    assert (desk.n_requests, desk.usd) == (0, pytest.approx(0.0))


def test_without_ceilings_nothing_is_lent() -> None:
    def lend(usd: float, n_requests: int) -> tuple[float, float]:
        raise AssertionError("the desk was asked")

    async def spend() -> None:
        budget = Budget(lend=lend)
        budget.settle(await budget.reserve(1.0), usd=1.0)

    asyncio.run(spend())


def test_what_is_not_spent_comes_back() -> None:
    desk = Desk(2, usd=math.inf, n_requests=64)
    _, n_lent = desk.lend(0, 0.0, 1)
    assert n_lent == 8 and desk.n_requests == 56
    desk.settle(0, 0.0, 3)
    assert desk.n_requests == 61


def test_a_look_adds_up_the_parts_and_takes_the_lines() -> None:
    desk = Desk(2)
    assert not desk.note(0, 3, 10, "fast")
    assert desk.look().total is None  # the other part has not said how much it has
    desk.note(1, 4, 20, None)
    desk.say(1, "hello")
    seen = desk.look()
    assert (seen.done, seen.total, seen.note, seen.lines) == (7, 30, "fast", ("[2/2] hello",))
    assert desk.look().lines == ()
    desk.stop()
    assert desk.note(0, 4, 10, None)
