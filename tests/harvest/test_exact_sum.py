"""Sums that no order changes: to the last bit, whatever is added first and however it is divided."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autointerp.harvest.exact_sum import ExactSum

ADDENDS = st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=80)


def total(values: list[float]) -> float:
    added = ExactSum()
    for value in values:
        added.add(np.float64(value))
    return float(added.total)


@given(ADDENDS, st.randoms(use_true_random=False))
def test_no_order_changes_a_bit(values: list[float], random) -> None:
    shuffled = values.copy()
    random.shuffle(shuffled)
    assert total(shuffled) == total(values)


@given(ADDENDS, st.integers(1, 5))
def test_parts_merge_to_the_whole(values: list[float], n: int) -> None:
    whole = ExactSum()
    for index in range(n):
        part = ExactSum()
        for value in values[index::n]:
            part.add(np.float64(value))
        whole.merge(part)
    assert float(whole.total) == total(values)


@given(ADDENDS)
def test_it_is_the_sum(values: list[float]) -> None:
    assert total(values) == pytest.approx(math.fsum(values), rel=1e-15, abs=len(values) * 2.0**-43)


def test_plain_sums_do_depend_on_the_order() -> None:
    """What the others guard against."""
    values = [0.1, 0.2, 0.3, 0.4, 0.7]
    assert sum(values) != sum(reversed(values))
    assert total(values) == total(values[::-1])


def test_tensors_are_summed_where_they_are() -> None:
    added = ExactSum()
    added.add(torch.tensor([0.5, 1e-9], dtype=torch.float64))
    added.add(torch.tensor([0.25, 1e9], dtype=torch.float64))
    assert torch.equal(added.total, torch.tensor([0.75, 1e9 + 2.0**-43 * round(1e-9 * 2**43)], dtype=torch.float64))
    added.apply(lambda part: part.numpy())
    assert isinstance(added.total, np.ndarray)
