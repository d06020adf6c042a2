"""Judges, plug-ins and findings as terminal tables of a given width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from autointerp.builtin_plugins import Abilities
from autointerp.distribution import how_to_install
from autointerp.judges.kit.findings import CheckResult
from autointerp.plugins import PluginListing
from autointerp.tables import Column, Page

__all__ = ["render_findings", "render_judges", "render_plugins"]

_MIN_WIDTH = 40
_NARROW = 60  # below this width names wrap
_WIDE = 80  # from this width a check's name stays on one line
_ABOUT_WIDTH = 120  # from this width judges have a description

LEGEND = (
    "local: no network, no cost. probs: token log-probabilities. schema: replies keep a JSON schema. "
    "same: equal answers at temperature 0. opt: depends on options. ?: known once it is loaded (judges list NAME). "
    f"[models], [vllm]: an extra, {how_to_install('vllm')}."
)

_MARKS = {True: "✓", False: "✗", None: "–"}
_PLAIN_MARKS = {True: "ok", False: "FAIL", None: "-"}
_ABILITY = {"yes": "yes", "no": "-", "option": "opt"}


def render_judges(rows: Sequence[tuple[PluginListing, Abilities | None]], *, width: int) -> str:
    """One row per judge: abilities, origin and needs; `?` if not loaded."""
    heads = ["judge", "local", "probs", "schema", "same", "from"]
    has_about = width >= _ABOUT_WIDTH
    lines = []
    for listing, abilities in rows:
        cells = [listing.name, "?", "?", "?", "?", _origin(listing, abilities)]
        if abilities is not None:
            stated = (abilities.local, abilities.logprobs, abilities.schema, abilities.same)
            cells[1:5] = [_ABILITY[ability] for ability in stated]
        if has_about:
            cells.append(abilities.about if abilities is not None else "not loaded")
        lines.append(cells)
    columns = _columns([*heads, "what it is"] if has_about else heads, width=width, n_folding=1 + has_about)
    return _drawn(width, columns, lines, *_troubles(listing for listing, _ in rows), LEGEND)


def render_plugins(noun: str, listings: Iterable[PluginListing], *, width: int) -> str:
    """One row per explainer or scorer."""
    listings = list(listings)
    rows = [[listing.name, _origin(listing, None)] for listing in listings]
    return _drawn(width, _columns([noun, "from"], width=width), rows, *_troubles(listings))


def render_findings(results: Iterable[CheckResult], *, width: int, encoding: str = "utf-8") -> str:
    """One row per check: kept, broken or not asked, with details."""
    marks = _MARKS if _can_encode("".join(_MARKS.values()), encoding) else _PLAIN_MARKS
    rows = []
    counts: Counter[bool | None] = Counter()
    for result in results:
        detail = result.detail if _can_encode(result.detail, encoding) else ascii(result.detail)
        rows.append([marks[result.is_passed], result.name, detail])
        counts[result.is_passed] += 1
    columns = _columns(["", "check", "seen"], width=width, n_folding=1 + (width < _WIDE))
    return _drawn(width, columns, rows, f"{counts[True]} kept, {counts[False]} broken, {counts[None]} not asked.")


def _origin(listing: PluginListing, abilities: Abilities | None) -> str:
    """The judge's distribution, and options it needs."""
    words: list[str] = []
    if abilities is not None:
        words += ["MODEL"] if abilities.model == "needed" else []
        words += [*abilities.needs, *([f"[{abilities.extra}]"] if abilities.extra else [])]
    origin = "built in" if listing.is_builtin else listing.distribution
    return f"{origin}, needs {', '.join(words)}" if words else origin


def _troubles(listings: Iterable[PluginListing]) -> list[str]:
    """A line per name that several distributions bring; such a name is unusable."""
    return [
        f"{listing.name} is brought by {', '.join((listing.distribution, *listing.rivals))}: none of them can be used."
        for listing in listings
        if listing.rivals
    ]


def _columns(heads: Sequence[str], *, width: int, n_folding: int = 1) -> list[Column]:
    last = len(heads) - n_folding
    return [
        Column(head, is_text=True, can_wrap=place >= last or (place == 0 and width < _NARROW))
        for place, head in enumerate(heads)
    ]


def _drawn(width: int, columns: Sequence[Column], rows: Sequence[Sequence[str]], *notes: str) -> str:
    page = Page(max(width, _MIN_WIDTH))
    page.table(columns, rows, gap=2)
    for note in notes:
        page.line()
        page.line(note)
    return page.text()


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
