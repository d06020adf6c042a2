"""Interpretability against cost: the dictionaries that no other one beats in both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from autointerp.board.charts import apart
from autointerp.board.standing import Section

__all__ = ["AXES", "Axis", "Front", "Point", "find_fronts", "pareto_charts", "render_pareto"]

_HEIGHT, _BOTTOM = 190.0, 24.0
_LINE_PX, _NAME_LENGTH = 12.0, 22


@dataclass(frozen=True, slots=True)
class Axis:
    """The other figure of a chart; `is_more_better` is its direction."""

    key: str
    title: str
    is_more_better: bool
    value: Callable[[Mapping[str, Any]], float | None]


def _quality(key: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda entry: (entry.get("quality") or {}).get(key)


AXES = (
    Axis("loss_recovered", "loss recovered", True, _quality("loss_recovered")),
    Axis("l0", "L0", False, _quality("l0")),
    Axis("usd_per_feature", "USD per feature", False, lambda entry: _per_feature(entry)),
)


@dataclass(frozen=True, slots=True)
class Point:
    """One entry: score with interval, and the other figure; `is_best` if not dominated."""

    label: str
    score: float
    lo: float
    hi: float
    other: float
    is_best: bool


@dataclass(frozen=True, slots=True)
class Front:
    """The points of a section on one axis, in its order; `missing` entries have no figure."""

    section: Section
    axis: Axis
    points: tuple[Point, ...]
    missing: tuple[str, ...]


def find_fronts(sections: Sequence[Section]) -> list[Front]:
    """A front per section and axis with two different points or more."""
    fronts = []
    for section in sections:
        for axis in AXES:
            known = [
                (s.label, s.score, float(value))
                for s in section.standings
                if s.score is not None and (value := axis.value(s.entry)) is not None
            ]
            if len({value for _, _, value in known}) < 2:
                continue
            places = [(score["mean"], value if axis.is_more_better else -value) for _, score, value in known]
            points = tuple(
                Point(label, score["mean"], score["lo"], score["hi"], value, not _is_dominated(place, places))
                for (label, score, value), place in zip(known, places, strict=True)
            )
            named = {label for label, _, _ in known}
            missing = tuple(s.label for s in section.standings if s.label not in named)
            fronts.append(Front(section, axis, points, missing))
    return fronts


def render_pareto(sections: Sequence[Section]) -> str:
    """The fronts as text, with a star at each entry that none dominates."""
    fronts = find_fronts(sections)
    if not fronts:
        return "Nothing to weigh: no two entries differ in loss recovered, L0 or USD per feature."
    lines = []
    for front in fronts:
        better = "more" if front.axis.is_more_better else "less"
        lines.append(f"{front.section.title}: {front.section.heading} against {front.axis.title} ({better} is better)")
        width = max(len(point.label) for point in front.points)
        for point in front.points:
            figure = f"{point.score:.3f} [{point.lo:.3f}, {point.hi:.3f}]"
            lines.append(f"  {'*' if point.is_best else ' '} {point.label:<{width}}  {figure}  {point.other:.4g}")
        if front.missing:
            lines.append(f"    not measured: {', '.join(front.missing)}")
    lines.append("* no other entry is at least as good in both and better in one (by the means; mind the intervals)")
    return "\n".join(lines)


def pareto_charts(sections: Sequence[Section]) -> list[dict[str, Any]]:
    return [{"front": front, "chart": _draw(front)} for front in find_fronts(sections)]


def _per_feature(entry: Mapping[str, Any]) -> float | None:
    usd, n = entry.get("usd"), entry.get("n_scored")
    return usd / n if usd and n else None


def _is_dominated(place: tuple[float, float], places: Sequence[tuple[float, float]]) -> bool:
    return any(a >= place[0] and b >= place[1] and (a, b) != place for a, b in places)


def _draw(front: Front) -> Markup:
    values = [point.other for point in front.points]
    low, high = min(values), max(values)
    bottom, top = min(p.lo for p in front.points), max(p.hi for p in front.points)
    room = (top - bottom) or 1.0

    def share_of(value: float) -> float:
        share = (value - low) / (high - low)
        return share if front.axis.is_more_better else 1 - share

    def across(value: float) -> str:
        return f"{12 + 76 * share_of(value):.2f}%"

    def up(score: float) -> float:
        return round(10 + (_HEIGHT - _BOTTOM - 20) * (1 - (score - bottom) / room), 1)

    floor = _HEIGHT - _BOTTOM
    parts = [f'<line class="floor" x1="0%" x2="100%" y1="{floor}" y2="{floor}"/>']
    parts += [f'<text x="{across(v)}" y="{floor + 16}" text-anchor="middle">{v:.4g}</text>' for v in (low, high)]
    parts += [f'<text x="0%" y="{up(score) + 4}">{score:.2f}</text>' for score in (bottom, top)]
    heights = _spread([(share_of(p.other), up(p.score)) for p in front.points])
    for point, height in zip(front.points, heights, strict=True):
        x, y = across(point.other), up(point.score)
        parts.append(f'<line class="whisker thin" x1="{x}" x2="{x}" y1="{up(point.lo)}" y2="{up(point.hi)}"/>')
        parts.append(f'<circle class="{"dot" if point.is_best else "dot hollow"}" cx="{x}" cy="{y}" r="4.5"/>')
        # towards the middle, so that no name leaves the drawing
        side = Markup('dx="-8" text-anchor="end"' if share_of(point.other) > 0.5 else 'dx="8"')
        name = point.label if len(point.label) <= _NAME_LENGTH else f"{point.label[: _NAME_LENGTH - 1]}…"
        label = Markup('<text class="name" x="{}" y="{}" {} dy="4">{}</text>').format(x, height, side, name)
        parts.append(str(label))
    title = f"{front.section.heading} against {front.axis.title}"
    return Markup(
        f'<svg class="chart" width="100%" height="{_HEIGHT:g}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
    )


def _spread(places: Sequence[tuple[float, float]]) -> list[float]:
    """Heights of dot names, at least a line apart."""
    heights = [height for _, height in places]
    for is_right in (False, True):
        side = [index for index, (share, _) in enumerate(places) if (share > 0.5) == is_right]
        for index, height in zip(side, apart([heights[index] for index in side], gap=_LINE_PX), strict=True):
            heights[index] = height
    return heights
