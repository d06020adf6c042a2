"""Tables as text: for a terminal, fitted to its width, and for Markdown."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "Page", "markdown_table"]

_NO_LIMIT = 10_000


class Column(NamedTuple):
    head: str
    # order in which columns are left out of narrow terminals; 0 never
    drop: int = 0
    is_text: bool = False
    can_wrap: bool = False
    min_width: int | None = None
    max_width: int | None = None
    foot: str = ""


class Page:
    """Lines and tables one below the other, no line longer than `width`."""

    def __init__(self, width: int, *, has_colour: bool = False) -> None:
        self.width = width
        self._console = Console(
            file=io.StringIO(),
            width=width,
            force_terminal=has_colour,
            color_system="standard" if has_colour else None,
            highlight=False,
            legacy_windows=False,
        )

    def line(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(text, style=style))

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], *, gap: int = 1) -> list[str]:
        """Returns the heads of the columns that were left out."""
        places = list(range(len(columns)))
        while True:
            table = _drawn(columns, rows, places, gap)
            wanted = self._console.measure(table, options=self._console.options.update(max_width=_NO_LIMIT)).maximum
            droppable = [place for place in places if columns[place].drop]
            if wanted <= self.width or not droppable:
                break
            places.remove(min(droppable, key=lambda place: columns[place].drop))
        if not any(columns[place].can_wrap for place in places):
            table.width = wanted  # too wide is better than cut
        self._console.print(table, crop=False)
        return [column.head.replace("\n", " ") for place, column in enumerate(columns) if place not in places]

    def text(self) -> str:
        assert isinstance(self._console.file, io.StringIO)
        # without the spaces that pad cells at line ends
        return "\n".join(line.rstrip() for line in self._console.file.getvalue().splitlines()) + "\n"


def _drawn(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], places: Sequence[int], gap: int) -> Table:
    has_foot = any(column.foot for column in columns)
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim", show_footer=has_foot)
    for column in (columns[place] for place in places):
        table.add_column(
            column.head,
            column.foot,
            justify="left" if column.is_text else "right",
            no_wrap=not column.can_wrap,
            overflow="fold",
            min_width=column.min_width,
            max_width=column.max_width,
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in (row[place] for place in places)))
    return table


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, rule: str) -> list[str]:
    """`rule`: the line below the heads, which aligns columns."""
    return [_markdown_line(heads), rule, *map(_markdown_line, rows)]


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
