"""The leaderboard drawn for a terminal. Takes sections; fits the width given by leaving columns out, and says which."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autointerp.board.columns import chances_of, dead_share, measures_of
from autointerp.board.standing import Section, Standing

__all__ = ["render_terminal"]

_NAME_COLUMNS = 18
_NARROW = 60


class _Column(NamedTuple):
    head: str
    cell: Callable[[Standing], Text]
    drop: int
    """Columns are left out in this order where the terminal is narrow; 0 is kept always."""


def render_terminal(
    sections: Sequence[Section], caveats: Sequence[str], *, width: int = 80, has_colour: bool = False
) -> str:
    """All sections and the caveats, no line longer than `width` (40 at least)."""
    width = max(width, 40)
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=has_colour,
        color_system="standard" if has_colour else None,
        highlight=False,
        legacy_windows=False,
    )
    dropped: list[str] = []
    for section in sections:
        console.print(Text(section.title, style="bold"))
        if section.note:
            console.print(Text(section.note, style="bold red" if section.is_mixed else "dim"))
        table, left_out = _fit(section, console, width)
        console.print(table)
        console.print()
        dropped += [head for head in left_out if head not in dropped]
    if not sections:
        console.print("No entries.")
    if dropped:
        caveats = [*caveats, f"Left out for want of width: {', '.join(dropped)}; see --format md."]
    for line in caveats:
        console.print(Text(line, style="dim"))
    # Rich pads cells to the column's width; the spaces at line ends are nothing to look at.
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"  # type: ignore[attr-defined]


def _fit(section: Section, console: Console, width: int) -> tuple[Table, list[str]]:
    columns = every = _columns(section)
    while True:
        table = _table(section, columns, name_width=_NAME_COLUMNS if width >= _NARROW else _NAME_COLUMNS * 2 // 3)
        if console.measure(table, options=console.options.update(max_width=10_000)).maximum <= width:
            break
        droppable = [column for column in columns if column.drop]
        if not droppable:
            break
        least = min(droppable, key=lambda column: column.drop)
        columns = [column for column in columns if column is not least]
    left_out = [column.head.replace("\n", " ") for column in every if column not in columns]
    return table, left_out


def _table(section: Section, columns: Sequence[_Column], *, name_width: int) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(
            column.head,
            justify="right" if position else "left",
            vertical="top",
            no_wrap=position > 0,
            overflow="fold",
            max_width=None if position else name_width,
        )
    for standing in section.standings:
        table.add_row(*(column.cell(standing) for column in columns))
    return table


def _columns(section: Section) -> list[_Column]:
    """What the section's metric makes of a table, the heading figure and its chance first."""
    columns = [
        _Column("entry", _name, 0),
        _Column(f"{section.heading}\n95%", _score, 0),
        *(
            _Column(chance.head, _chance(place), 20 * place)
            for place, chance in enumerate(chances_of(section.entries[0], section.metric) if section.standings else ())
        ),
    ]
    columns += [
        _Column(metric.head, _two_lines(metric.name, signed=metric.is_signed), drop)
        for metric in measures_of(section.metric, section.entries)
        if (drop := metric.drop_beside(section.metric))
    ]
    return [*columns, _Column("scored\ndead", _scored, 60), _Column("lost\nUSD", _lost, 59)]


def _name(standing: Standing) -> Text:
    if standing.places is None:
        return Text(standing.label)
    return Text.assemble(standing.label, "\n", (f"rank {standing.places}", "dim"))


def _score(standing: Standing) -> Text:
    interval = standing.score
    if interval is None:
        return Text("-", style="dim")
    return Text.assemble(
        (f"{interval['mean']:.3f}", "bold"), f"\n{_short(interval['lo'], 3)}, {_short(interval['hi'], 3)}"
    )


def _two_lines(key: str, *, signed: bool) -> Callable[[Standing], Text]:
    def cell(standing: Standing) -> Text:
        interval: Mapping[str, Any] | None = standing.entry.get(key)
        if interval is None:
            return Text("-", style="dim")
        mean = f"{interval['mean']:{'+.3f' if signed else '.3f'}}"
        lo, hi = (_short(interval[end], 2, signed=signed) for end in ("lo", "hi"))
        return Text.assemble(mean, "\n", (f"{lo}, {hi}", "dim"))

    return cell


def _short(value: float, digits: int, *, signed: bool = False) -> str:
    """A figure without the zero before its point: .812, -.05, 1.0."""
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("+-").startswith("0.") else text


def _chance(place: int) -> Callable[[Standing], Text]:
    def cell(standing: Standing) -> Text:
        value = chances_of(standing.entry, standing.metric)[place].value
        return Text("-" if value is None else _short(value, 3), style="dim")

    return cell


def _scored(standing: Standing) -> Text:
    entry = standing.entry
    return Text.assemble(f"{entry['n_scored']}/{entry['n_sampled']}", "\n", (dead_share(entry), "dim"))


def _lost(standing: Standing) -> Text:
    lost, usd = standing.lost_frac, standing.entry["usd"]
    share = "<0.1%" if 0 < lost < 0.001 else f"{lost:.1%}"
    spent = "?" if usd is None else f"{usd:.2f}"
    return Text.assemble((share, "red" if lost > 0.05 else ""), "\n", (spent, "dim"))
