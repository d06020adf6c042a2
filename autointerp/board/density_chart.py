"""Score over firing rate: one line per entry, from all firings to the strongest twentieth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import floor, log10
from typing import Any, NamedTuple

from markupsafe import Markup

from autointerp.board.charts import apart
from autointerp.board.standing import Section

__all__ = ["N_COLOURS", "draw_density"]

N_COLOURS = 8  # colours of lines (CSS classes); names tell further lines apart

_HEIGHT, _TOP, _FLOOR = 260.0, 10.0, 232.0
_LEFT, _RIGHT = 7.0, 84.0
_LINE_PX = 13.0


class _Axes(NamedTuple):
    x: tuple[float, float]
    y: tuple[float, float]

    def across(self, density: float) -> str:
        low, high = self.x
        return f"{_LEFT + (_RIGHT - _LEFT) * (log10(density) - low) / (high - low):.2f}%"

    def up(self, score: float) -> float:
        low, high = self.y
        return round(_FLOOR - (_FLOOR - _TOP) * (score - low) / ((high - low) or 1.0), 1)


def draw_density(section: Section) -> Markup | None:
    """F1 with 95% interval over median firing rate (log scale); None with fewer than two points."""
    curves = [(s.label, s.entry.get("curve") or []) for s in section.standings]
    points = [point for _, curve in curves for point in curve]
    if len({point["density"] for point in points}) < 2:
        return None
    at = section.entries[0].get("common_density")
    densities = [point["density"] for point in points] + ([at] if at else [])
    highest = max(p["f1"]["hi"] for p in points)
    lowest = min(*(p["f1"]["lo"] for p in points), highest - 0.05)  # scores that are all the same need a scale, too
    axes = _Axes((log10(min(densities)) - 0.05, log10(max(densities)) + 0.05), (lowest, highest))
    parts = [f'<line class="floor" x1="{_LEFT}%" x2="{_RIGHT}%" y1="{_FLOOR}" y2="{_FLOOR}"/>']
    parts += [
        f'<text x="{axes.across(tick)}" y="{_FLOOR + 16}" text-anchor="middle">{tick:g}</text>' for tick in _ticks(axes)
    ]
    parts += [f'<text x="0%" y="{axes.up(score) + 4}">{score:.2f}</text>' for score in axes.y]
    if at:
        x = axes.across(at)
        parts.append(f'<line class="coin" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_FLOOR}"/>')
    heights = apart([axes.up(curve[0]["f1"]["mean"]) for _, curve in curves if curve], gap=_LINE_PX)
    for place, (label, curve) in enumerate((label, curve) for label, curve in curves if curve):
        parts += _line(curve, axes, colour=place % N_COLOURS)
        name = Markup('<text class="name k{}" x="{}%" y="{}" dy="4">{}</text>')
        parts.append(str(name.format(place % N_COLOURS, _RIGHT + 1, heights[place], label)))
    title = "F1 over firing rate"
    return Markup(f'<svg class="chart" width="100%" height="{_HEIGHT:g}" role="img" aria-label="{title}">') + Markup(
        "".join(parts) + "</svg>"
    )


def _line(curve: Sequence[dict[str, Any]], axes: _Axes, *, colour: int) -> list[str]:
    places = [(axes.across(point["density"]), point["f1"]) for point in curve]
    parts = []
    for (x, score), (next_x, next_score) in pairwise(places):
        ends = f'x1="{x}" x2="{next_x}" y1="{axes.up(score["mean"])}" y2="{axes.up(next_score["mean"])}"'
        parts.append(f'<line class="curve k{colour}" {ends}/>')
    for (x, score), point in zip(places, curve, strict=True):
        said = f"strongest {point['level']:.0%} of firings: {score['mean']:.3f}, {score['n']} features"
        parts.append(
            f'<line class="curve thin k{colour}" x1="{x}" x2="{x}" y1="{axes.up(score["lo"])}" '
            f'y2="{axes.up(score["hi"])}"/>'
            f'<circle class="k{colour}" cx="{x}" cy="{axes.up(score["mean"])}" r="3.5"><title>{said}</title></circle>'
        )
    return parts


def _ticks(axes: _Axes) -> list[float]:
    low, high = axes.x
    ticks = [digit * 10.0**power for power in range(floor(low), floor(high) + 1) for digit in (1, 2, 5)]
    return [tick for tick in ticks if low <= log10(tick) <= high]
