"""Judges, plug-ins and what a kit found, as tables for a terminal: no line is wider than it.

Takes listings, abilities and findings; knows nothing of how they were come by.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autointerp.builtin_plugins import Abilities
from autointerp.distribution import how_to_install
from autointerp.judges.kit.findings import CheckResult
from autointerp.plugins import PluginListing

__all__ = ["render_findings", "render_judges", "render_plugins"]

_MIN_WIDTH = 40
_NARROW = 60
"""Below this width names are wrapped, too."""
_WIDE = 80
"""From this width on the name of a check stays on one line."""
_ABOUT_WIDTH = 120
"""From this width on the table says what each judge is."""

LEGEND = (
    "local: no network, no cost. probs: token log-probabilities. schema: replies keep a JSON schema. "
    "same: equal answers at temperature 0. opt: depends on options. ?: known once it is loaded (judges list NAME). "
    f"[models], [vllm]: an extra, {how_to_install('vllm')}."
)

_MARKS = {True: "✓", False: "✗", None: "–"}
_PLAIN_MARKS = {True: "ok", False: "FAIL", None: "-"}
_ABILITY = {"yes": "yes", "no": "-", "option": "opt"}


def render_judges(rows: Sequence[tuple[PluginListing, Abilities | None]], *, width: int) -> str:
    """One row per judge: what it can do, who brings it and what it needs; `?` for one that was not loaded."""
    heads = ["judge", "local", "probs", "schema", "same", "from"]
    has_about = width >= _ABOUT_WIDTH
    table = _table([*heads, "what it is"] if has_about else heads, width=width, n_folding=1 + has_about)
    for listing, abilities in rows:
        cells = [listing.name, "?", "?", "?", "?", _origin(listing, abilities)]
        if abilities is not None:
            stated = (abilities.local, abilities.logprobs, abilities.schema, abilities.same)
            cells[1:5] = [_ABILITY[ability] for ability in stated]
        if has_about:
            cells.append(abilities.about if abilities is not None else "not loaded")
        table.add_row(*map(Text, cells))
    return _drawn(width, table, *_troubles(listing for listing, _ in rows), LEGEND)


def render_plugins(noun: str, listings: Iterable[PluginListing], *, width: int) -> str:
    """One row per explainer or scorer."""
    table = _table([noun, "from"], width=width)
    rows = list(listings)
    for listing in rows:
        table.add_row(Text(listing.name), Text(_origin(listing, None)))
    return _drawn(width, table, *_troubles(rows))


def render_findings(results: Iterable[CheckResult], *, width: int, encoding: str = "utf-8") -> str:
    """One row per check: kept, broken or not asked, and what was seen."""
    marks = _MARKS if _can_encode("".join(_MARKS.values()), encoding) else _PLAIN_MARKS
    table = _table(["", "check", "seen"], width=width, n_folding=1 + (width < _WIDE))
    counts: Counter[bool | None] = Counter()
    for result in results:
        detail = result.detail if _can_encode(result.detail, encoding) else ascii(result.detail)
        table.add_row(*map(Text, (marks[result.is_passed], result.name, detail)))
        counts[result.is_passed] += 1
    return _drawn(width, table, f"{counts[True]} kept, {counts[False]} broken, {counts[None]} not asked.")


def _origin(listing: PluginListing, abilities: Abilities | None) -> str:
    """Who brings a judge, and what it cannot be made without."""
    words: list[str] = []
    if abilities is not None:
        words += ["MODEL"] if abilities.model == "needed" else []
        words += [*abilities.needs, *([f"[{abilities.extra}]"] if abilities.extra else [])]
    origin = "built in" if listing.is_builtin else listing.distribution
    return f"{origin}, needs {', '.join(words)}" if words else origin


def _troubles(listings: Iterable[PluginListing]) -> list[str]:
    """A line for each name that more than one distribution brings: none of them can be used."""
    return [
        f"{listing.name} is brought by {', '.join((listing.distribution, *listing.rivals))}: none of them can be used."
        for listing in listings
        if listing.rivals
    ]


def _table(heads: Sequence[str], *, width: int, n_folding: int = 1) -> Table:
    """A plain table whose last columns wrap, and its first as well where the terminal is narrow."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for position, head in enumerate(heads):
        is_folding = position >= len(heads) - n_folding or (position == 0 and width < _NARROW)
        table.add_column(head, no_wrap=not is_folding, overflow="fold")
    return table


def _drawn(width: int, table: Table, *notes: str) -> str:
    console = Console(
        file=io.StringIO(), width=max(width, _MIN_WIDTH), highlight=False, legacy_windows=False, color_system=None
    )
    console.print(table)
    for note in notes:
        console.print()
        console.print(Text(note))
    # rich pads cells to the column's width; the spaces at line ends are nothing to look at
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
