"""Leaderboards for a terminal, fitted to its width by leaving out columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from autointerp.board.columns import chances_of, dead_share, measures_of
from autointerp.board.standing import Section, Standing
from autointerp.tables import Column, Page

__all__ = ["render_terminal"]

_NAME_COLUMNS = 18
_NARROW = 60


class _Measured(NamedTuple):
    column: Column
    cell: Callable[[Standing], Text]


def render_terminal(
    sections: Sequence[Section], caveats: Sequence[str], *, width: int = 80, has_colour: bool = False
) -> str:
    """Sections and caveats, no line longer than `width` (at least 40)."""
    width = max(width, 40)
    page = Page(width, has_colour=has_colour)
    dropped: list[str] = []
    for section in sections:
        page.line(section.title, "bold")
        if section.note:
            page.line(section.note, "bold red" if section.is_mixed else "dim")
        columns = _columns(section, name_width=_NAME_COLUMNS if width >= _NARROW else _NAME_COLUMNS * 2 // 3)
        rows = [[each.cell(standing) for each in columns] for standing in section.standings]
        dropped += [head for head in page.table([each.column for each in columns], rows) if head not in dropped]
        page.line()
    if not sections:
        page.line("No entries.")
    if dropped:
        caveats = [*caveats, f"Left out for want of width: {', '.join(dropped)}; see --format md."]
    for line in caveats:
        page.line(line, "dim")
    return page.text()


def _columns(section: Section, *, name_width: int) -> list[_Measured]:
    columns = [
        _Measured(Column("entry", is_text=True, can_wrap=True, max_width=name_width), _name),
        _Measured(Column(f"{section.heading}\n95%"), _score),
        *(
            _Measured(Column(chance.head, 20 * place), _chance(place))
            for place, chance in enumerate(chances_of(section.entries[0], section.metric) if section.standings else ())
        ),
    ]
    columns += [
        _Measured(Column(metric.head, drop), _two_lines(metric.name, signed=metric.is_signed))
        for metric in measures_of(section.metric, section.entries)
        if (drop := metric.drop_beside(section.metric))
    ]
    return [*columns, _Measured(Column("scored\ndead", 60), _scored), _Measured(Column("lost\nUSD", 59), _lost)]


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
    """A figure without its leading zero: .812, -.05, 1.0."""
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
