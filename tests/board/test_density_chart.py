"""The figure of score over firing rate: a line per entry, nothing where there is nothing to draw, names escaped."""

from __future__ import annotations

from typing import Any

from autointerp.board.density_chart import draw_density
from autointerp.board.standing import Section, Standing


def section(*entries: tuple[str, list[tuple[float, float]]]) -> Section:
    standings = []
    for label, places in entries:
        curve = [
            {"level": level, "density": density, "f1": {"mean": f1, "lo": f1, "hi": f1, "n": 5}}
            for level, (density, f1) in zip((1.0, 0.5), places, strict=False)
        ]
        entry: dict[str, Any] = {"common_density": 0.002, "curve": curve}
        standings.append(Standing(label, "run", entry, "f1_cut"))
    return Section("detection", "windows", "pattern", tuple(standings))


def test_every_entry_has_its_line_and_name() -> None:
    chart = draw_density(section(("sae", [(0.004, 0.6), (0.002, 0.7)]), ("<b>", [(0.01, 0.5), (0.005, 0.6)])))
    assert chart is not None
    assert chart.count('class="curve k0"') == chart.count('class="curve k1"') == 1
    assert chart.count("<circle") == 4
    assert "strongest 50% of firings: 0.700, 5 features" in chart
    assert ">sae<" in chart
    assert "&lt;b&gt;" in chart
    assert "<b>" not in chart


def test_equal_scores_are_a_flat_line() -> None:
    chart = draw_density(section(("sae", [(0.004, 1.0), (0.002, 1.0)])))
    assert chart is not None
    assert "nan" not in chart


def test_one_density_or_no_curve_draws_nothing() -> None:
    assert draw_density(section(("sae", [(0.004, 0.6)]))) is None
    assert draw_density(section(("sae", []))) is None
