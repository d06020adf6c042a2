"""The pages that only a server has: a text tried on a run's model, and runs at work."""

from __future__ import annotations

from pathlib import Path

from autointerp.board.page import asset, fill
from autointerp.runs.layout import write_text

__all__ = ["write_live_pages"]

_PAGES = {"try": ("parts.js", "windows.js", "asking.js", "try.js"), "runs": ("parts.js", "asking.js", "runs.js")}


def write_live_pages(out: Path, *, title: str, has_board: bool) -> None:
    """`try.html` and `runs.html` with what they load, beside a site's pages."""
    for name, scripts in _PAGES.items():
        page = fill(f"{name}.html.j2", title=title, scripts=scripts, has_board=has_board)
        write_text(out / f"{name}.html", page)
        for file in ("page.css", *scripts):
            write_text(out / file, asset(file))
