"""One style for the studies' figures, drawn by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "colour", "line_with_band", "marker", "new_figure", "published_line", "save_figure", "style"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7A7A7A")
"""Okabe and Ito's colour-blind palette, dark ones first, and a grey."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
PLACES = {
    "SAE": 0,
    "MLP h=32": 1,
    "MLP h=256": 2,
    "MLP h=1024": 6,
    "SAE+ITO": 3,
    "SAE+ITO (log-codes)": 3,
    "SC (log-codes)": 4,
    "SC (ours)": 5,
    "FISTA, codes >= 0": 6,
    "SAE, started along D": 7,
    "SAE, projected": 7,
}
"""Place of a method in COLOURS and MARKERS, the same in every figure."""

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "svg.hashsalt": "autointerp",
}


def colour(series: int | str) -> str:
    """Colour of a method of PLACES, or of the series at this place."""
    return COLOURS[_place(series) % len(COLOURS)]


def marker(series: int | str) -> str:
    """Marker of a method of PLACES, or of the series at this place."""
    return MARKERS[_place(series) % len(MARKERS)]


def _place(series: int | str) -> int:
    return PLACES[series] if isinstance(series, str) else series


@contextmanager
def style() -> Iterator[None]:
    """Within the block, matplotlib draws and saves in this style, without a display."""
    import matplotlib as mpl

    mpl.use("Agg")
    with mpl.rc_context(STYLE):
        yield


def new_figure(n_rows: int = 1, n_columns: int = 1, *, width: float = 4.6, height: float = 3.6, **options: Any) -> Any:
    """A figure and its axes [n_rows, n_columns]; width and height of one panel in inches."""
    from matplotlib import pyplot as plt

    size = (width * n_columns, height * n_rows)
    return plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False, **options)


def line_with_band(
    axes: Axes, x: Sequence[float], means: Sequence[float], half_widths: Sequence[float], *, method: str
) -> None:
    """A line with its 95% interval as a band."""
    low = [mean - half for mean, half in zip(means, half_widths, strict=True)]
    high = [mean + half for mean, half in zip(means, half_widths, strict=True)]
    axes.plot(x, means, color=colour(method), marker=marker(method), markevery=max(1, len(x) // 8), label=method)
    axes.fill_between(x, low, high, color=colour(method), alpha=0.15, linewidth=0)


def published_line(axes: Axes, value: float, *, method: str) -> None:
    """A published value as a dash at the right edge, in its method's colour."""
    axes.axhline(value, xmin=0.955, xmax=1.0, color=colour(method), linewidth=3, solid_capstyle="butt", zorder=3)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG in one move and free the figure."""
    from matplotlib import pyplot as plt

    temporary = path.with_name(path.name + ".tmp")
    figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
    plt.close(figure)
    temporary.replace(path)
