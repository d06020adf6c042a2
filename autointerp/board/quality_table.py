"""Reconstruction quality of a run's dictionaries as a table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from autointerp.board.quality_file import is_measured, load_quality
from autointerp.errors import ArtefactError
from autointerp.runs.layout import RunLayout
from autointerp.safe_text import csv_cell
from autointerp.tables import Column, Page, markdown_table

__all__ = ["FORMATS", "QualityRow", "read_quality", "render_quality"]

FORMATS = ("table", "md", "csv", "json")
_GAP = 2
_HEADS = {
    "dictionary": "dictionary",
    "kind": "kind",
    "n_features": "features",
    "l0": "L0",
    "explained_variance": "expl. var.",
    "loss_recovered": "loss rec.",
    "dead_frac": "dead",
}


@dataclass(frozen=True)
class QualityRow:
    """One dictionary on held-out activations; None for figures without meaning (dense coordinates)."""

    dictionary: str
    kind: str
    n_features: int
    l0: float | None  # mean number of firing features
    explained_variance: float | None  # 1 - squared error over variance
    loss_recovered: float | None  # share of the loss between zero ablation (0) and the subject (1)
    dead_frac: float | None  # share of features that never fired
    # half the 95% intervals; None before they were measured
    l0_margin: float | None = None
    explained_variance_margin: float | None = None
    loss_recovered_margin: float | None = None
    dead_frac_margin: float | None = None


def read_quality(layout: RunLayout) -> list[QualityRow]:
    """One row per measured dictionary, by name. Raises ArtefactError without any, or for a damaged file."""
    folders = sorted(layout.dictionaries.iterdir()) if layout.dictionaries.is_dir() else []
    names = [folder.name for folder in folders if is_measured(layout, folder.name)]
    if not names:
        raise ArtefactError(f"{layout.root}: no dictionary has been measured; `autointerp train CONFIG` does so")
    return [_row(layout, name) for name in names]


def render_quality(rows: Sequence[QualityRow], format: str = "table") -> str:
    """The rows as `table`, `md`, `csv` or `json`. Raises ValueError for another format."""
    if format == "json":
        return json.dumps([asdict(row) for row in rows], indent=2)
    frame = pd.DataFrame([asdict(row) for row in rows])
    if format == "csv":
        return frame.map(csv_cell).to_csv(index=False).rstrip("\n")
    cells = [[_cell(row, name) for name in _HEADS] for row in rows]
    heads = list(_HEADS.values())
    if format == "md":
        return "\n".join(markdown_table(heads, cells, rule="| --- | --- |" + " ---: |" * (len(heads) - 2)))
    if format != "table":
        raise ValueError(f"format = {format!r}: must be one of {', '.join(FORMATS)}")
    # where the terminal is narrow the least telling columns go first: the kind, then the number of features
    drops = {"kind": 1, "features": 2}
    columns = [Column(head, drops.get(head, 0), is_text=place < 2) for place, head in enumerate(heads)]
    page = Page(shutil.get_terminal_size((100, 24)).columns - _GAP)
    page.table(columns, cells, gap=_GAP)
    return page.text().rstrip("\n")


def _row(layout: RunLayout, name: str) -> QualityRow:
    record = load_quality(layout, name)
    assert record is not None  # the file is there
    return QualityRow(
        dictionary=name,
        kind=record.kind,
        n_features=record.n_features,
        l0=record.l0,
        explained_variance=record.explained_variance if record.fidelity else None,
        loss_recovered=record.fidelity.recovered_zero_frac if record.fidelity else None,
        dead_frac=record.dead_frac,
        l0_margin=_margin(record.intervals.get("l0")),
        explained_variance_margin=_margin(record.intervals.get("fvu")) if record.fidelity else None,
        loss_recovered_margin=_margin(record.fidelity.recovered_zero_interval) if record.fidelity else None,
        dead_frac_margin=_margin(record.intervals.get("dead_frac")),
    )


def _margin(interval: Sequence[float] | None) -> float | None:
    return None if interval is None else (interval[1] - interval[0]) / 2


def _cell(row: QualityRow, name: str) -> str:
    value, margin = getattr(row, name), getattr(row, f"{name}_margin", None)
    if not isinstance(value, float):
        return "-" if value is None else str(value)
    form = {"dead_frac": ".1%", "l0": ".1f"}.get(name, ".3f")
    return f"{value:{form}}" + ("" if margin is None else f" ±{margin:{form}}")
