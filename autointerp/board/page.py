"""Web pages in one file; the page's policy (CSP) forbids requests and all scripts but the one with its hash."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from autointerp.board import charts
from autointerp.board.columns import chances_of, dead_share, marks_of, measures_of
from autointerp.board.metrics import bounds_of
from autointerp.board.standing import Section
from autointerp.safe_text import safe_text, without_folders, without_keys_in_use

__all__ = ["BROWSER", "asset", "embed_json", "fill", "render_board_page", "render_page"]


BROWSER = ("parts.js", "source.js", "marks.js", "windows.js", "card.js", "browser.js")
"""Scripts of the feature browser, in the order in which they are run."""


def render_board_page(sections: Sequence[Section], caveats: Sequence[str], *, title: str = "Leaderboard") -> str:
    return render_page("board.html.j2", title=title, sections=sections, caveats=caveats)


def render_page(template: str, *, scripts: Sequence[str] = (), **values: Any) -> str:
    """A filled template of this package in one file, with the script files inlined as one."""
    style_text = asset("page.css")
    script_text = "".join(map(asset, scripts))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_sha256(style_text)}'",
            f"script-src '{_sha256(script_text)}'" if scripts else "script-src 'none'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return fill(template, policy=policy, style=Markup(style_text), script=Markup(script_text), **values)


def fill(template: str, **values: Any) -> str:
    """A filled template of this package."""
    return _environment().get_template(template).render(charts=charts, **values)


def embed_json(value: Any) -> Markup:
    """JSON safe inside a script element: no character ends the element or reads as markup."""
    text = without_keys_in_use(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # Lone surrogates cannot be written as UTF-8.
    text = (
        "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text) if _has_surrogate(text) else text
    )
    return Markup(text)


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def asset(name: str) -> str:
    """The text of a template, style or script of this package."""
    return (resources.files("autointerp.board") / "templates" / name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        finalize=_safe,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "signed": _signed, "interval": _interval, "spell": _spell}
    environment.filters["without_folders"] = without_folders
    environment.filters |= {
        "chances": chances_of,
        "dead": dead_share,
        "marks": marks_of,
        "measures": lambda section: measures_of(section.metric, section.entries),
        "bounds": bounds_of,
    }
    return environment


def _safe(value: Any) -> Any:
    return safe_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def _interval(interval: Mapping[str, float], *, is_signed: bool = False) -> str:
    form = _signed if is_signed else _figure
    return f"{form(interval['lo'], 2)} to {form(interval['hi'], 2)}"


def _spell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
