"""Leaderboards as text: table, Markdown, HTML, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from autointerp.board.caveats import alarms, caveats
from autointerp.board.columns import chances_of, dead_share, measures_of, origin_of
from autointerp.board.metrics import metrics_in
from autointerp.board.standing import Section, Standing, build_sections
from autointerp.board.terminal import render_terminal
from autointerp.errors import ConfigError
from autointerp.safe_text import csv_cell
from autointerp.tables import markdown_table

__all__ = ["FORMATS", "LeaderboardFormat", "render_leaderboard"]

LeaderboardFormat = Literal["table", "md", "csv", "json", "html"]

LISTED = tuple(metric.name for metric in metrics_in("csv"))

FORMATS: tuple[LeaderboardFormat, ...] = ("table", "md", "csv", "json", "html")

_MORE = "What the columns mean: `autointerp leaderboard RUN --explain`, or the page."


def render_leaderboard(
    summaries: Sequence[Mapping[str, Any]],
    format: LeaderboardFormat | str = "table",
    *,
    width: int = 80,
    has_colour: bool = False,
    is_together: bool = False,
    is_explained: bool = False,
) -> str:
    """The leaderboard of one or several runs: sections of comparable entries, best first.

    `is_together` ranks incomparable entries with a warning; `is_explained` adds the meaning of columns to a table.
    Raises ConfigError for another format.
    """
    sections = build_sections(summaries, is_together=is_together)
    if format == "table":
        lines = caveats(sections) if is_explained else [*alarms(sections), _MORE]
        return render_terminal(sections, lines, width=width, has_colour=has_colour)
    if format == "html":
        from autointerp.board.page import render_board_page

        return render_board_page(sections, caveats(sections))
    renderers: dict[str, Callable[[Sequence[Section]], str]] = {"md": _markdown, "csv": _csv, "json": _json}
    if format not in renderers:
        raise ConfigError(f"--format {format}: no such format; use one of {', '.join(FORMATS)}")
    return renderers[format](sections)


def _markdown(sections: Sequence[Section]) -> str:
    lines = []
    for section in sections:
        head = ["rank", "dictionary", f"{section.heading} [95%]"]
        head += [chance.title for chance in chances_of(section.entries[0], section.metric)]
        head += [f"{measure.title} [95%]" for measure in measures_of(section.metric, section.entries)]
        head += ["scored", "dead", "lost", "USD"]
        lines += [f"### {_plain(section.title)}", ""]
        lines += [_plain(section.note), ""] if section.note else []
        rows = [_markdown_cells(section, standing) for standing in section.standings]
        lines += [*markdown_table(head, rows, rule=f"|---:|---{'|---:' * (len(head) - 2)}|"), ""]
    if not sections:
        lines += ["No entries.", ""]
    return "\n".join([*lines, *(f"- {_plain(line)}" for line in caveats(sections))]) + "\n"


def _markdown_cells(section: Section, standing: Standing) -> list[str]:
    entry = standing.entry
    return [
        "-" if standing.places is None else str(standing.places),
        _plain(standing.label),
        _with_interval(standing.score),
        *("-" if chance.value is None else f"{chance.value:.3f}" for chance in chances_of(entry, section.metric)),
        *(
            _with_interval(entry.get(measure.name), signed=measure.is_signed)
            for measure in measures_of(section.metric, section.entries)
        ),
        f"{entry['n_scored']}/{entry['n_sampled']}",
        dead_share(entry),
        f"{standing.lost_frac:.1%}",
        "?" if entry["usd"] is None else f"{entry['usd']:.2f}",
    ]


def _with_interval(interval: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    if interval is None:
        return "-"
    form = "+.3f" if signed else ".3f"
    return f"{interval['mean']:{form}} [{interval['lo']:{form}}, {interval['hi']:{form}}]"


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _csv(sections: Sequence[Section]) -> str:
    rows = [_flat(standing) for section in sections for standing in section.standings]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=_flat_names(), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _flat_names() -> list[str]:
    names = ["run", "rank_best", "rank_last", "name", "dictionary", "site", "explainer", "scorer", "judge", "metric"]
    names += ["chance", "protocol_hash", "n_sampled", "n_scored"]
    names += ["unscored_too_few_positives", "unscored_too_few_negatives", "unscored_judge"]
    names += [name for measure in LISTED for name in (measure, f"{measure}_lo", f"{measure}_hi", f"{measure}_n")]
    names += ["always_yes_f1", "always_no_accuracy", "coin_f1", "unparsed_frac", "refused_frac", "error_frac"]
    return [*names, "usd", "prompt_hash", "unscored_dead", "dead_frac", "origin"]


def _flat(standing: Standing) -> dict[str, Any]:
    entry = standing.entry
    row: dict[str, Any] = {name: entry[name] for name in _flat_names() if name in entry and name not in LISTED}
    row |= {"run": standing.run, "dead_frac": (entry.get("quality") or {}).get("dead_frac"), "origin": origin_of(entry)}
    if standing.places is not None:
        row |= {"rank_best": standing.places.best, "rank_last": standing.places.last}
    row |= {f"unscored_{reason}": n for reason, n in entry["unscored"].items() if f"unscored_{reason}" in _flat_names()}
    row |= {name: entry["baselines"][name] for name in ("always_yes_f1", "always_no_accuracy", "coin_f1")}
    for measure in LISTED:
        interval = entry.get(measure) or {}
        row[measure] = interval.get("mean")
        row |= {f"{measure}_{part}": interval.get(part) for part in ("lo", "hi", "n")}
    return row


def _json(sections: Sequence[Section]) -> str:
    document = {
        "schema_version": 1,
        "sections": [_section(section) for section in sections],
        "entries": [{"run": s.run, **s.entry} for section in sections for s in section.standings],
        "caveats": caveats(sections),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _section(section: Section) -> dict[str, Any]:
    ranks = [
        {"run": s.run, "name": s.entry["name"], "label": s.label, "rank": s.places and list(s.places)}
        for s in section.standings
    ]
    named = {name: getattr(section, name) for name in ("title", "scorer", "explainer", "judge", "metric", "note")}
    return {**named, "is_mixed": section.is_mixed, "ranks": ranks}
