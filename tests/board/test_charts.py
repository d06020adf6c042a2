from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from autointerp.board import charts


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def test_whisker_stands_where_its_figures_are():
    svg = parsed(charts.whisker({"mean": 0.8, "lo": 0.75, "hi": 0.85}, lines={"always-yes": 2 / 3, "coin": None}))
    dot, whisker = svg.find("circle"), svg.find("line[@class='whisker']")
    assert dot is not None
    assert whisker is not None
    assert (dot.get("cx"), whisker.get("x1"), whisker.get("x2")) == ("80.00%", "75.00%", "85.00%")
    upright = svg.find("line[@class='always-yes']")
    assert upright is not None
    assert upright.get("x1") == upright.get("x2") == "66.67%"
    assert svg.find("line[@class='coin']") is None
    assert svg.get("aria-label") == "0.800, 95% interval 0.750 to 0.850"


def test_an_entry_without_a_score_keeps_its_row():
    svg = parsed(charts.whisker(None, lines={"coin": 0.5}))
    assert svg.find("circle") is None
    assert svg.get("aria-label") == "not scored"


def test_bars_hold_every_value_and_share_one_scale():
    samples = [[0.0, 0.01, 0.5, 1.0], [0.5, 0.5]]
    peak = charts.peak_share(samples)
    assert peak == 1.0
    first, second = (parsed(charts.distribution(s, lines={}, peak_share=peak)) for s in samples)
    titles = [bar.findtext("title") for bar in first.iter("rect")]
    assert titles == ["2 features, 0.00 to 0.05", "1 features, 0.50 to 0.55", "1 features, 0.95 to 1.00"]
    heights = [float(bar.get("height", "nan")) for bar in (*first.iter("rect"), *second.iter("rect"))]
    assert heights[0] == pytest.approx(heights[-1] / 2, abs=0.1)
    assert charts.peak_share([[]]) == 1.0


def test_counts_are_drawn_as_the_values_they_were_counted_from():
    values = [0.0, 0.01, 0.5, 1.0]
    counts = [2] + [0] * 9 + [1] + [0] * 8 + [1]
    assert charts.histogram(counts, peak_share=0.5) == charts.distribution(values, lines={}, peak_share=0.5)
    (bar,) = parsed(charts.histogram([0, 0, 5, 0], peak_share=1.0, bounds=(-4.0, 0.0), unit="10^")).iter("rect")
    assert bar.findtext("title") == "5 features, 10^-2.00 to 10^-1.00"
    assert [bar.get("x"), bar.get("height")] == ["50.30%", "42.0"]


def test_an_axis_has_a_tick_at_every_step():
    ticks = [text.text for text in parsed(charts.axis(bounds=(-3.0, 0.0), n_steps=3, unit="10^")).iter("text")]
    assert ticks == ["10^−3", "10^−2", "10^−1", "10^0"]
