"""Small SVG charts for pages: dots with whiskers, distributions and axes, which fill any width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from markupsafe import Markup

__all__ = ["apart", "axis", "distribution", "histogram", "peak_share", "whisker"]

_ROW_PX = 26
_DISTRIBUTION_PX = 46
N_BINS = 20


UNIT = (0.0, 1.0)
NO_LINES: Mapping[str, float | None] = MappingProxyType({})

Bounds = tuple[float, float]


def whisker(
    interval: Mapping[str, float] | None, *, lines: Mapping[str, float | None], bounds: Bounds = UNIT
) -> Markup:
    """A row with the mean as a dot, its interval as a line, and `lines` (class name to value) upright."""
    middle = _ROW_PX / 2
    parts = [_upright(name, value, _ROW_PX, bounds) for name, value in lines.items() if value is not None]
    if interval is not None:
        lo, hi = _percent(interval["lo"], bounds), _percent(interval["hi"], bounds)
        parts.append(f'<line class="whisker" x1="{lo}" x2="{hi}" y1="{middle}" y2="{middle}"/>')
        parts.append(f'<circle class="dot" cx="{_percent(interval["mean"], bounds)}" cy="{middle}" r="4.5"/>')
        text = f"{interval['mean']:.3f}, 95% interval {interval['lo']:.3f} to {interval['hi']:.3f}"
    else:
        text = "not scored"
    return _svg(_ROW_PX, parts, text)


def distribution(
    values: Sequence[float], *, lines: Mapping[str, float | None], peak_share: float, bounds: Bounds = UNIT
) -> Markup:
    """A row with a histogram of values in 20 bins; `peak_share` is the share at full height."""
    return histogram(_counts(values, bounds).tolist(), lines=lines, peak_share=peak_share, bounds=bounds)


def histogram(
    counts: Sequence[int],
    *,
    lines: Mapping[str, float | None] = NO_LINES,
    peak_share: float,
    bounds: Bounds = UNIT,
    unit: str = "",
) -> Markup:
    """A row with counts in bins of equal width; `unit` precedes the ends of a bin."""
    height, n_bins, n = _DISTRIBUTION_PX - 4, len(counts), sum(counts)
    parts = []
    for position, count in enumerate(counts):
        if not count:
            continue
        tall = max(1.0, height * count / n / peak_share)
        left, right = position / n_bins, (position + 1) / n_bins
        bar = f'x="{_percent(left + 0.003)}" width="{_percent(1 / n_bins - 0.006)}" y="{_DISTRIBUTION_PX - tall:.1f}" '
        lo, hi = (bounds[0] + share * (bounds[1] - bounds[0]) for share in (left, right))
        title = f"<title>{count} features, {unit}{lo:.2f} to {unit}{hi:.2f}</title>"
        parts.append(f'<rect class="bar" {bar}height="{tall:.1f}">{title}</rect>')
    parts.append(f'<line class="floor" x1="0%" x2="100%" y1="{_DISTRIBUTION_PX}" y2="{_DISTRIBUTION_PX}"/>')
    parts += [_upright(name, value, _DISTRIBUTION_PX, bounds) for name, value in lines.items() if value is not None]
    return _svg(_DISTRIBUTION_PX, parts, f"distribution of {n} values")


def peak_share(samples: Sequence[Sequence[float]], *, bounds: Bounds = UNIT) -> float:
    """The largest share of any sample in one bin, a common scale for rows."""
    return float(max((_counts(s, bounds).max() / len(s) for s in samples if len(s)), default=1.0))


def apart(heights: Sequence[float], *, gap: float) -> list[float]:
    """Heights of labels in one column, moved down until none covers another."""
    placed, last = list(heights), -gap
    for index in sorted(range(len(heights)), key=lambda i: heights[i]):
        placed[index] = last = max(heights[index], last + gap)
    return placed


def axis(*, bounds: Bounds = UNIT, n_steps: int = 4, unit: str = "") -> Markup:
    """The axis below stacked rows, with `n_steps` equal steps."""
    parts = []
    for step in range(n_steps + 1):
        place = step / n_steps
        anchor = {0: "start", n_steps: "end"}.get(step, "middle")
        tick = unit + f"{bounds[0] + place * (bounds[1] - bounds[0]):g}".replace("-", "−")
        parts.append(f'<line class="floor" x1="{_percent(place)}" x2="{_percent(place)}" y1="0" y2="4"/>')
        parts.append(f'<text x="{_percent(place)}" y="16" text-anchor="{anchor}">{tick}</text>')
    return _svg(20, parts, f"axis from {bounds[0]:g} to {bounds[1]:g}")


def _counts(values: Sequence[float], bounds: Bounds) -> np.ndarray:
    return np.histogram(np.clip(values, *bounds), bins=N_BINS, range=bounds)[0]


def _upright(name: str, value: float, height: float, bounds: Bounds) -> str:
    place = _percent(value, bounds)
    return f'<line class="{name}" x1="{place}" x2="{place}" y1="0" y2="{height}"/>'


def _percent(value: float, bounds: Bounds = UNIT) -> str:
    return f"{100 * (value - bounds[0]) / (bounds[1] - bounds[0]):.2f}%"


def _svg(height: float, parts: Sequence[str], label: str) -> Markup:
    # Every part is made of numbers and of class names of this package: nothing here needs escaping.
    return Markup(
        f'<svg class="chart" width="100%" height="{height:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )
