"""The board of many runs as a matrix: an entry a row, a scorer with its explainer and judge a column.

Cells of a column are ranked together only within one section; between two sections the differing settings are kept, so
that a page can say why it greys a cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autointerp.board.columns import marks_of
from autointerp.board.metrics import bounds_of
from autointerp.board.protocol import differences, protocol_of
from autointerp.board.standing import Section, Standing

__all__ = ["Cell", "Column", "Row", "build_matrix"]

_LOOKUP = {"f1": "lookup_f1", "f1_cut": "lookup_f1_cut"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A standing; `lines` are scores of guessing and of random directions, `section` counts within its column."""

    standing: Standing
    section: int
    lines: Mapping[str, float | None]
    bounds: tuple[float, float]


@dataclass(slots=True)
class Column:
    """Entries under one scorer, explainer and judge; `reasons[a][b]` says why section a is not ranked with b."""

    scorer: str
    explainer: str
    judge: str
    sections: list[Section] = field(default_factory=list)
    reasons: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """An entry of a run; `cells` by number of the column."""

    run: str
    entry: str
    site: str
    kind: str
    subject: str
    cells: Mapping[int, Cell]

    @property
    def label(self) -> str:
        return f"{self.run}/{self.entry}"


def build_matrix(
    sections: Sequence[Section], *, kinds: Mapping[str, Mapping[str, str]], subjects: Mapping[str, str]
) -> tuple[list[Column], list[Row]]:
    """Columns and rows, best first by the first column; `kinds` of entries and `subjects` by run.

    Sections of one scorer, explainer and judge share a column unless an entry is in both.
    """
    columns: list[Column] = []
    cells: dict[tuple[str, str], dict[int, Cell]] = {}
    for section in sections:
        names = {(s.run, s.entry["name"]) for s in section.standings}
        place = next((i for i, c in enumerate(columns) if _may_join(c, section, names)), len(columns))
        if place == len(columns):
            columns.append(Column(section.scorer, section.explainer, section.judge))
        columns[place].sections.append(section)
        for standing in section.standings:
            lines = _lines(standing, section, kinds)
            number = len(columns[place].sections) - 1
            cell = Cell(standing, number, lines, bounds_of(section.metric))
            cells.setdefault((standing.run, standing.entry["name"]), {})[place] = cell
    for column in columns:
        protocols = [protocol_of(section.entries[0]) for section in column.sections]
        column.reasons = [["; ".join(differences(a, b)) for b in protocols] for a in protocols]
    rows = [
        Row(run, name, _site(own), kinds.get(run, {}).get(name, ""), subjects.get(run, ""), own)
        for (run, name), own in cells.items()
    ]
    return columns, sorted(rows, key=_place)


def _may_join(column: Column, section: Section, names: set[tuple[str, str]]) -> bool:
    if (column.scorer, column.explainer, column.judge) != (section.scorer, section.explainer, section.judge):
        return False
    return not any((s.run, s.entry["name"]) in names for other in column.sections for s in other.standings)


def _lines(standing: Standing, section: Section, kinds: Mapping[str, Mapping[str, str]]) -> dict[str, float | None]:
    """Always-yes and coin, or the scorer's chance; the look-up on the same windows; the run's random directions."""
    lines = marks_of(standing.entry, section.metric)
    if name := _LOOKUP.get(section.metric):
        lines["look-up"] = (standing.entry.get(name) or {}).get("mean")
    own = kinds.get(standing.run, {})
    random = [s for s in section.standings if s.run == standing.run and own.get(s.entry["name"]) == "random"]
    if random and random[0].score is not None and random[0] is not standing:
        lines["random"] = random[0].score["mean"]
    return lines


def _site(cells: Mapping[int, Cell]) -> str:
    return next((cell.standing.entry["site"] for cell in cells.values()), "")


def _place(row: Row) -> tuple[Any, ...]:
    first = min(row.cells)
    score = row.cells[first].standing.score
    return (first, row.cells[first].section, -(score["mean"] if score else -2.0), row.label)
