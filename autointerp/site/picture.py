"""The picture of a board that is shown where somebody links to it (Open Graph)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from autointerp.board.columns import chances_of
from autointerp.board.standing import Section
from autointerp.runs.layout import write_atomically

__all__ = ["draw_picture"]

_MOST = 8
_INK, _SOFT, _GROUND, _ACCENT, _BAD = "#1c1d1f", "#5d6067", "#fcfcfa", "#1f5a92", "#a8322a"


def draw_picture(sections: Sequence[Section], path: Path, *, title: str) -> bool:
    """Write the first section's best entries as PNG, 1200 x 630; False without matplotlib or a score."""
    if find_spec("matplotlib") is None or not sections:
        return False
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    section = sections[0]
    shown = [s for s in section.standings if s.score is not None][:_MOST]
    if not shown:
        return False
    with rc_context({"font.family": "serif", "text.parse_math": False, "svg.hashsalt": "autointerp"}):
        figure = Figure(figsize=(12, 6.3), dpi=100, facecolor=_GROUND)
        axes = figure.add_axes((0.27, 0.14, 0.65, 0.56), facecolor=_GROUND)
        for place, standing in enumerate(shown):
            score = standing.score or {}
            axes.plot([score["lo"], score["hi"]], [place, place], color=_ACCENT, linewidth=3)
            axes.plot([score["mean"]], [place], "o", color=_ACCENT, markersize=11)
        best_guess = chances_of(shown[0].entry, section.metric)[0]
        if best_guess.value is not None:
            axes.axvline(best_guess.value, color=_BAD, linestyle="--", linewidth=1.5)
            axes.text(best_guess.value, -0.75, best_guess.title, color=_BAD, fontsize=13, ha="center")
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_yticks(range(len(shown)), [_short(s.label) for s in shown], fontsize=15)
        axes.tick_params(colors=_INK, length=0, labelsize=15)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        figure.text(0.05, 0.87, _short(title, 60), fontsize=30, color=_INK)
        figure.text(0.05, 0.79, _short(f"{section.heading}, {section.title}", 100), fontsize=14, color=_SOFT)
        write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", metadata={"Software": None}))
    return True


def _short(text: str, length: int = 26) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
