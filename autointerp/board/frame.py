"""The leaderboard as a data frame: one row per entry, three digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from autointerp.board.columns import chances_of, measures_of
from autointerp.board.standing import Section, build_sections

__all__ = ["leaderboard_frame"]

_GROUPING = ("scorer", "explainer", "judge")
_DIGITS = 3
_MINOR = 10  # measures the terminal drops first are left to the summary


def leaderboard_frame(summaries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Entries best first, by label.

    The heading metric has its own column, or `score` beside `metric` if sections differ. Columns with one value for all
    rows are in `attrs`.
    """
    sections = build_sections(summaries)
    is_one_metric = len({section.metric for section in sections}) == 1
    rows = [row for section in sections for row in _rows(section, is_one_metric=is_one_metric)]
    told = (*_GROUPING, "chance")
    shared = {name: rows[0][name] for name in told if len({row[name] for row in rows}) == 1}
    silent = [name for name in ("lost_frac", "usd") if not any(row[name] for row in rows)]
    frame = pd.DataFrame(rows, index=[row.pop("label") for row in rows]).drop(columns=[*shared, *silent])
    frame = frame.dropna(axis="columns", how="all").round(_DIGITS)
    frame.attrs |= shared
    return frame


def _rows(section: Section, *, is_one_metric: bool) -> list[dict[str, Any]]:
    rows = []
    for standing in section.standings:
        entry, score = standing.entry, standing.score or {}
        mean = {section.metric: score.get("mean")}
        beside = measures_of(section.metric, section.entries)
        shown = [metric.name for metric in beside if (metric.drop_beside(section.metric) or 0) > _MINOR]
        rows.append(
            {
                "label": standing.label,
                **{name: entry[name] for name in _GROUPING},
                "rank": None if standing.places is None else str(standing.places),
                **(mean if is_one_metric else {"metric": section.metric, "score": score.get("mean")}),
                "lo": score.get("lo"),
                "hi": score.get("hi"),
                "chance": next((chance.value for chance in chances_of(entry, standing.metric)), None),
                **{key: (entry.get(key) or {}).get("mean") for key in shown},
                "n": entry["n_scored"],
                "dead_frac": (entry.get("quality") or {}).get("dead_frac"),
                "lost_frac": standing.lost_frac,
                "usd": entry["usd"],
            }
        )
    return rows
