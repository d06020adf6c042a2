"""Bottom-k pools: exact, and the same however the candidates are grouped."""

from __future__ import annotations

import numpy as np
import pytest

from autointerp.harvest.pools import Pools

CAPACITY = np.array([3, 0, 50])


def offer(pools: Pools, slot: np.ndarray, priority: np.ndarray) -> None:
    pools.offer(slot, priority, lambda indices: {"payload": priority[indices] * np.uint64(2)})


@pytest.mark.parametrize("n_parts", [1, 7, 400])
def test_the_lowest_priorities_stay_whatever_the_grouping(n_parts: int) -> None:
    draw = np.random.default_rng(0)
    slot, priority = draw.integers(0, 3, 30_000), draw.permutation(30_000).astype(np.uint64)
    one, other = Pools(CAPACITY), Pools(CAPACITY)
    for number, part in enumerate(np.array_split(np.arange(30_000), n_parts)):
        offer(one if number % 2 else other, slot[part], priority[part])
    one.merge(other)
    columns = one.columns()
    for index, capacity in enumerate(CAPACITY):
        kept = columns["priority"][columns["slot"] == index]
        assert kept.tolist() == np.sort(priority[slot == index])[:capacity].tolist()
    assert (columns["payload"] == columns["priority"] * 2).all()


def test_a_payload_may_leave_candidates_out() -> None:
    pools = Pools(CAPACITY)
    priority = np.arange(10, dtype=np.uint64)
    pools.offer(
        np.zeros(10, dtype=np.int64),
        priority,
        lambda indices: {"chosen": np.flatnonzero(indices >= 5), "payload": priority[indices[indices >= 5]]},
    )
    assert pools.columns()["priority"].tolist() == [5, 6, 7]
    assert pools.columns()["payload"].tolist() == [5, 6, 7]


def test_an_empty_pool_has_no_columns() -> None:
    assert Pools(CAPACITY).columns() == {}
