"""The table of dictionary quality: what it shows, in each format, and what it says when there is nothing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from autointerp.board.quality_table import read_quality, render_quality
from autointerp.errors import ArtefactError
from autointerp.runs.layout import RunLayout


def _run(root: Path) -> RunLayout:
    layout = RunLayout(root)
    facts = {"n_features": 8, "l0": 3.25, "explained_variance": 0.75, "dead_frac": 0.125, "fvu": 0.25, "kind": "topk"}
    spliced = {"fidelity": {"recovered_zero_frac": 0.5}}
    for name, record in {"sae": {**facts, **spliced}, "neurons": {**facts, "kind": "identity"}}.items():
        layout.dictionary(name).mkdir(parents=True)
        layout.quality(name).write_text(json.dumps(record))
    return layout


def test_rows_hold_the_measured_figures_and_none_for_what_does_not_apply(tmp_path: Path) -> None:
    neurons, sae = read_quality(_run(tmp_path))
    assert (sae.dictionary, sae.l0, sae.explained_variance, sae.loss_recovered) == ("sae", 3.25, 0.75, 0.5)
    assert (neurons.kind, neurons.explained_variance, neurons.loss_recovered) == ("identity", None, None)


def test_every_format_shows_the_same_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read_quality(_run(tmp_path))
    assert json.loads(render_quality(rows, "json"))[1]["loss_recovered"] == 0.5
    assert next(csv.DictReader(io.StringIO(render_quality(rows[1:], "csv"))))["dead_frac"] == "0.125"
    assert "| sae | topk | 8 | 3.2 | 0.750 | 0.500 | 12.5% |" in render_quality(rows, "md")
    monkeypatch.setenv("COLUMNS", "45")
    narrow = render_quality(rows, "table").splitlines()
    assert max(map(len, narrow)) <= 45 and "kind" not in narrow[0] and "12.5%" in narrow[2]
    with pytest.raises(ValueError, match="must be one of table, md, csv, json"):
        render_quality(rows, "yaml")


def test_intervals_stand_beside_the_figures(tmp_path: Path) -> None:
    layout = _run(tmp_path)
    facts = json.loads(layout.quality("sae").read_text())
    facts["intervals"] = {"fvu": [0.24, 0.26], "l0": [3.05, 3.45], "dead_frac": [0.1, 0.15]}
    facts["fidelity"]["recovered_zero_interval"] = [0.48, 0.52]
    layout.quality("sae").write_text(json.dumps(facts))
    rows = read_quality(layout)
    assert "| sae | topk | 8 | 3.2 ±0.2 | 0.750 ±0.010 | 0.500 ±0.020 | 12.5% ±2.5% |" in render_quality(rows, "md")
    assert json.loads(render_quality(rows, "json"))[1]["loss_recovered_margin"] == pytest.approx(0.02)
    assert "| neurons | identity | 8 | 3.2 | - | - | 12.5% |" in render_quality(rows, "md")


def test_nothing_measured_and_a_damaged_file_are_one_line_each(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"no dictionary has been measured"):
        read_quality(RunLayout(tmp_path / "empty"))
    layout = _run(tmp_path)
    layout.quality("sae").write_text("{")
    with pytest.raises(ArtefactError, match=r"quality\.json is damaged: no JSON"):
        read_quality(layout)
