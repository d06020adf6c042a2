"""The time left follows the pace of now, whatever the beginning or a stall was like."""

from __future__ import annotations

from autointerp.progress import Pace


def paced(*updates: tuple[float, float]) -> Pace:
    now = [0.0]
    pace = Pace(stretch_s=5.0, n_stretches=5, clock=lambda: now[0])
    for seconds, count in updates:
        now[0] = seconds
        pace.note(count)
    return pace


def test_what_comes_before_the_first_count_is_not_the_pace() -> None:
    """A pool that fills for 70 s before the first batch of 2,048 once promised days."""
    updates = [(0.0, 0.0), *((70.0 + 1.5 * i, 2048.0 * (i + 1)) for i in range(20))]
    pace = paced(*updates)
    left_s = pace.left_s(20 * 2048, 400_000)
    assert left_s is not None and abs(left_s - (400_000 - 20 * 2048) / (2048 / 1.5)) < 1e-6


def test_a_resumed_work_counts_from_where_it_goes_on() -> None:
    pace = paced((0.0, 900.0), (6.0, 906.0))
    assert pace.left_s(906, 1000) == 94.0


def test_a_stall_moves_the_median_little() -> None:
    pace = paced((0.0, 10.0), (10.0, 20.0), (20.0, 30.0), (3620.0, 40.0), (3630.0, 50.0))
    assert pace.left_s(50, 100) == 50.0


def test_updates_in_bursts_are_taken_together() -> None:
    """Every other batch waits for the subject."""
    updates = [(7.0 * (i // 2) + 0.2 * (i % 2), 10.0 * (i + 1)) for i in range(20)]
    left_s = paced(*updates).left_s(200, 1200)
    assert left_s is not None and abs(left_s - 1000 / (20 / 7)) < 1.0


def test_nothing_is_promised_before_a_stretch_is_over_or_without_a_total() -> None:
    assert paced((0.0, 1.0), (4.0, 2.0)).left_s(2, 10) is None
    assert paced((0.0, 1.0), (6.0, 2.0)).left_s(2, None) is None
