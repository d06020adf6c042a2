"""Small SVG charts for pages: dot-and-whisker rows, distribution rows and the axis under them.

Takes figures between 0 and 1; x positions are percentages, so a chart fills whatever width it is given while its
text keeps its size. Colours are classes of the page's style sheet. Knows nothing of entries or files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

__all__ = ["axis", "distribution", "peak_share", "whisker"]

_ROW_PX = 26
_DISTRIBUTION_PX = 46
N_BINS = 20


def whisker(interval: Mapping[str, float] | None, *, lines: Mapping[str, float | None]) -> Markup:
    """One row: the mean as a dot, its interval as a line, each of `lines` (class name to value) upright.

    Rows stacked without a gap turn the uprights into one line. Empty where `interval` is None.
    """
    middle = _ROW_PX / 2
    parts = [_upright(name, value, _ROW_PX) for name, value in lines.items() if value is not None]
    if interval is not None:
        lo, hi = _percent(interval["lo"]), _percent(interval["hi"])
        parts.append(f'<line class="whisker" x1="{lo}" x2="{hi}" y1="{middle}" y2="{middle}"/>')
        parts.append(f'<circle class="dot" cx="{_percent(interval["mean"])}" cy="{middle}" r="4.5"/>')
        text = f"{interval['mean']:.3f}, 95% interval {interval['lo']:.3f} to {interval['hi']:.3f}"
    else:
        text = "not scored"
    return _svg(_ROW_PX, parts, text)


def distribution(values: Sequence[float], *, lines: Mapping[str, float | None], peak_share: float) -> Markup:
    """One row: a histogram of values in [0, 1] in 20 bins, as shares; `peak_share` is the height of a full row."""
    counts, _ = np.histogram(np.clip(values, 0.0, 1.0), bins=N_BINS, range=(0.0, 1.0))
    height = _DISTRIBUTION_PX - 4
    parts = []
    for position, count in enumerate(counts.tolist()):
        if not count:
            continue
        tall = max(1.0, height * count / len(values) / peak_share)
        left, right = position / N_BINS, (position + 1) / N_BINS
        bar = f'x="{_percent(left + 0.003)}" width="{_percent(1 / N_BINS - 0.006)}" y="{_DISTRIBUTION_PX - tall:.1f}" '
        title = f"<title>{count} features, {left:.2f} to {right:.2f}</title>"
        parts.append(f'<rect class="bar" {bar}height="{tall:.1f}">{title}</rect>')
    parts.append(f'<line class="floor" x1="0%" x2="100%" y1="{_DISTRIBUTION_PX}" y2="{_DISTRIBUTION_PX}"/>')
    parts += [_upright(name, value, _DISTRIBUTION_PX) for name, value in lines.items() if value is not None]
    return _svg(_DISTRIBUTION_PX, parts, f"distribution of {len(values)} values")


def peak_share(samples: Sequence[Sequence[float]]) -> float:
    """The largest share of any sample that falls into one bin: rows drawn with it share one scale."""
    shares = [
        np.histogram(np.clip(s, 0.0, 1.0), bins=N_BINS, range=(0.0, 1.0))[0].max() / len(s) for s in samples if len(s)
    ]
    return float(max(shares, default=1.0))


def axis() -> Markup:
    """The axis from 0 to 1 under stacked rows."""
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = {0.0: "start", 1.0: "end"}.get(tick, "middle")
        parts.append(f'<line class="floor" x1="{_percent(tick)}" x2="{_percent(tick)}" y1="0" y2="4"/>')
        parts.append(f'<text x="{_percent(tick)}" y="16" text-anchor="{anchor}">{tick:g}</text>')
    return _svg(20, parts, "axis from 0 to 1")


def _upright(name: str, value: float, height: float) -> str:
    return f'<line class="{name}" x1="{_percent(value)}" x2="{_percent(value)}" y1="0" y2="{height}"/>'


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _svg(height: float, parts: Sequence[str], label: str) -> Markup:
    # Every part is made of numbers and of class names of this package: nothing here needs escaping.
    return Markup(
        f'<svg class="chart" width="100%" height="{height:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )
