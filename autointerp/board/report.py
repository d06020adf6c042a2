"""The report page: leaderboard, distributions, dictionary quality and every feature, in one offline HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from autointerp.board import charts
from autointerp.board.borrowed import Borrowed
from autointerp.board.browser_data import Shelf, catalog, findings_of, group_of, headings_of, shelf_files
from autointerp.board.caveats import caveats
from autointerp.board.columns import marks_of, origin_of
from autointerp.board.density_chart import draw_density
from autointerp.board.feature_data import windows_per_feature
from autointerp.board.feature_records import FeatureRecords
from autointerp.board.metrics import CUT, bounds_of
from autointerp.board.page import BROWSER, embed_json, render_page
from autointerp.board.pareto import pareto_charts
from autointerp.board.quality_file import DENSITY_DECADES
from autointerp.board.relatives import find_relatives
from autointerp.board.score_table import ScoreGroup, ScoreTable
from autointerp.board.standing import Section, build_sections
from autointerp.config.dictionary_name import entry_of
from autointerp.runs.layout import write_text

__all__ = ["render_report", "write_report"]

WINDOW_BUDGET = 16_000  # windows in one page, about 0.7 kB each


def render_report(
    summary: Mapping[str, Any],
    *,
    scores: ScoreTable,
    shown: Sequence[FeatureRecords],
    lent: Borrowed,
    n_features: int,
    density_histograms: Mapping[str, Sequence[int]] | None = None,
    window_budget: int = WINDOW_BUDGET,
) -> str:
    """The page as text, from one run's summary and scores, and the records of the `n_features` features, or of those
    of them that are `shown`, by dictionary and feature.

    Text from subject, corpus and judge is escaped, or is JSON that the script shows as text nodes.
    """
    sections = build_sections([summary])
    features: dict[str, list[int]] = {}
    for each in shown:
        features.setdefault(each.evidence.dictionary, []).append(each.evidence.feature)
    rows = [row for name, own in features.items() for row in scores.find(name, own)]
    headings = headings_of(rows)
    files: dict[str, Any] = {}
    shelves: list[Shelf] = []
    n_windows = windows_per_feature(len(shown), budget=window_budget)
    n_seen = max(2, n_windows // 4)
    found = findings_of(shown, rows, lent=lent, relatives=find_relatives(each.evidence for each in shown))
    for name, own in groupby(found, key=lambda each: each[0].dictionary):
        shelves.append(Shelf(len(shelves), "", name))
        numbers = {group: number for number, group in enumerate(headings)}
        files |= shelf_files(shelves[-1], own, groups=numbers, n_judged=n_windows - n_seen, n_seen=n_seen)
    cards = [card for name, page in files.items() if name.rpartition("/")[2].isdecimal() for card in page]
    return render_page(
        "report.html.j2",
        scripts=BROWSER,
        title=summary["run"],
        about=summary.get("about") or {},
        sections=sections,
        caveats=caveats(sections),
        distributions=[_distributions(section, scores) for section in sections],
        quality=_quality(summary["entries"]),
        densities=[(section, chart) for section in sections if (chart := draw_density(section)) is not None],
        firing_rates=_firing_rates(density_histograms or {}),
        decades=DENSITY_DECADES,
        pareto=pareto_charts(sections),
        n_features=n_features,
        n_shown=len(shown),
        n_windows=n_windows,
        has_hard=any(window["apart"] for card in cards for window in card["judged"]),
        is_capped=any(len(c["judged"]) < c["nJudged"] or len(c["seen"]) < c["nSeen"] for c in cards),
        files={"catalog": embed_json(catalog(shelves, headings))} | {k: embed_json(v) for k, v in files.items()},
    )


def write_report(path: Path, page: str) -> None:
    """Write the page atomically. Raises ArtefactError if that fails."""
    write_text(path, page)


def _distributions(section: Section, scores: ScoreTable) -> list[dict[str, Any]]:
    values: dict[tuple[str, ScoreGroup], list[float]] = {}
    for dictionary, group, score in scores.values(_ranked_by(section)):
        if score is not None:
            values.setdefault((entry_of(dictionary), group), []).append(score)
    samples = [values.get((s.entry["dictionary"], group_of(s.entry)), []) for s in section.standings]
    bounds = bounds_of(section.metric)
    peak = charts.peak_share(samples, bounds=bounds)
    drawn = []
    for standing, sample in zip(section.standings, samples, strict=True):
        if sample:
            lines = {
                name: value for name, value in marks_of(standing.entry, section.metric).items() if name == "always-yes"
            }
            chart = charts.distribution(sample, lines=lines, peak_share=peak, bounds=bounds)
            drawn.append({"label": standing.label, "chart": chart, "median": float(median(sample)), "n": len(sample)})
    return drawn


def _ranked_by(section: Section) -> str:
    return section.metric if section.metric.endswith(CUT) else "score"


def _firing_rates(histograms: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    known = {name: counts for name, counts in histograms.items() if sum(counts)}
    peak = max((max(counts) / sum(counts) for counts in known.values()), default=1.0)
    return [
        {
            "label": name,
            "n": sum(counts),
            "chart": charts.histogram(counts, peak_share=peak, bounds=DENSITY_DECADES, unit="10^"),
        }
        for name, counts in known.items()
    ]


def _quality(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    by_dictionary = {
        entry["dictionary"]: {
            **(entry.get("quality") or {}),
            **({"origin": origin} if (origin := origin_of(entry)) is not None else {}),
        }
        for entry in entries
    }
    known = {name: figures for name, figures in by_dictionary.items() if figures}
    # Nested values (a histogram) have no place in a table.
    columns = list(
        dict.fromkeys(k for q in known.values() for k, v in q.items() if not isinstance(v, dict | list | tuple))
    )
    return {"columns": columns, "rows": [(name, [q.get(c) for c in columns]) for name, q in known.items()]}
