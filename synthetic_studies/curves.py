"""Curves of scores over steps or FLOPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from synthetic_studies.comparison import Spread, describe
from synthetic_studies.figure_style import line_with_band, published_line
from synthetic_studies.study import Row, select

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curve_panel", "spreads_over"]


def spreads_over(rows: Sequence[Row], *, x: str, y: str) -> dict[float, Spread]:
    """Value of x -> spread of y over the rows that have both."""
    grouped: dict[float, list[float]] = {}
    for row in rows:
        if row.get(y) is not None and row.get(x) is not None:
            grouped.setdefault(row[x], []).append(row[y])
    return {value: describe(grouped[value]) for value in sorted(grouped)}


def curve_panel(
    axes: Axes,
    rows: Sequence[Row],
    methods: Sequence[str],
    *,
    x: str,
    y: str,
    published: Mapping[str, float] | None = None,
    is_log: bool = True,
) -> None:
    """One line per method with its 95% band; published values as dashes at the right edge."""
    for method in methods:
        spreads = spreads_over(select(rows, method=method), x=x, y=y)
        points = [(value, spread) for value, spread in spreads.items() if value > 0 or not is_log]
        if points:
            line_with_band(
                axes,
                [value for value, _ in points],
                [spread.mean for _, spread in points],
                [spread.half_width for _, spread in points],
                method=method,
            )
        if published and method in published:
            published_line(axes, published[method], method=method)
    if is_log:
        axes.set_xscale("log")
