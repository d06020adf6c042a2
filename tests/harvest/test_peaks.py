"""Local maxima, against the definition spelled out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autointerp.harvest.peaks import find_peaks


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), max_size=40),
    st.integers(0, 12),
)
def test_peaks_are_the_first_largest_within_reach(steps: list[tuple[int, int]], reach: int) -> None:
    coordinate = np.cumsum([step for step, _ in steps]).astype(np.int64)
    value = np.array([float(v) for _, v in steps], dtype=np.float32)
    expected = [
        i
        for i in range(len(steps))
        if all(
            value[j] < value[i] or (value[j] == value[i] and j >= i)
            for j in range(len(steps))
            if abs(coordinate[j] - coordinate[i]) <= reach
        )
    ]
    found = find_peaks(coordinate, value, reach=reach).tolist()
    assert found == expected
    assert all(b - a > reach for a, b in zip(coordinate[found], coordinate[found[1:]], strict=False))
