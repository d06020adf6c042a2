"""The report page: leaderboard, distributions, dictionary quality and every feature, in one offline HTML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from autointerp.board import charts
from autointerp.board.borrowed import Borrowed
from autointerp.board.caveats import caveats
from autointerp.board.columns import marks_of, origin_of
from autointerp.board.density_chart import draw_density
from autointerp.board.feature_data import card_columns, feature_card, windows_per_feature
from autointerp.board.metrics import CUT, bounds_of, title_of
from autointerp.board.page import embed_json, render_page
from autointerp.board.pareto import pareto_charts
from autointerp.board.quality_file import DENSITY_DECADES
from autointerp.board.scores import ScoreGroup, group_verdicts, index_explanations, iter_rows
from autointerp.board.standing import Section, build_sections
from autointerp.config.dictionary_name import entry_of
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Explanation, Verdict
from autointerp.runs.layout import write_text

__all__ = ["render_report", "write_report"]

WINDOW_BUDGET = 16_000  # windows in one page, about 0.4 kB each

_FEATURES_PER_CHUNK = 20


def render_report(
    summary: Mapping[str, Any],
    *,
    scores: pd.DataFrame,
    evidences: Sequence[Evidence],
    explanations: Iterable[Explanation],
    verdicts: Iterable[Verdict],
    density_histograms: Mapping[str, Sequence[int]] | None = None,
    window_budget: int = WINDOW_BUDGET,
) -> str:
    """The page as text, from one run's summary, scores and records in any order.

    Text from subject, corpus and judge is escaped, or is JSON that the script shows as text nodes.
    """
    sections = build_sections([summary])
    ordered = sorted(evidences, key=lambda e: (e.dictionary, e.feature))
    rows = {(row["dictionary"], row["feature"], _group(row)): row for row in iter_rows(scores)}
    groups = sorted({group for _, _, group in rows})
    n_windows = windows_per_feature(len(ordered), budget=window_budget)
    answers = group_verdicts(verdicts)
    lent = Borrowed(ordered)
    cards = []
    for evidence in ordered:
        key = (evidence.dictionary, evidence.feature)
        asked = {group: answers.get((*key, group), ()) for group in groups}
        cards.append(
            feature_card(
                evidence,
                asked,
                {group: rows[*key, group] for group in groups if (*key, group) in rows},
                groups=groups,
                borrowed={w: window for said in asked.values() for w, window in lent.find(said).items()},
                n_windows=n_windows,
            )
        )
    return render_page(
        "report.html.j2",
        script="report.js",
        title=summary["run"],
        about=summary.get("about") or {},
        sections=sections,
        caveats=caveats(sections),
        distributions=[_distributions(section, rows) for section in sections],
        quality=_quality(summary["entries"]),
        densities=[(section, chart) for section in sections if (chart := draw_density(section)) is not None],
        firing_rates=_firing_rates(density_histograms or {}),
        decades=DENSITY_DECADES,
        pareto=pareto_charts(sections),
        n_features=len(ordered),
        n_windows=n_windows,
        has_hard=any(window["apart"] for card in cards for window in card["judged"]),
        is_capped=any(len(c["judged"]) < c["nJudged"] or len(c["seen"]) < c["nSeen"] for c in cards),
        index=embed_json(_index(ordered, index_explanations(explanations), cards, _metrics(groups, rows))),
        chunks=[embed_json(cards[i : i + _FEATURES_PER_CHUNK]) for i in range(0, len(cards), _FEATURES_PER_CHUNK)],
    )


def write_report(path: Path, page: str) -> None:
    """Write the page atomically. Raises ArtefactError if that fails."""
    write_text(path, page)


def _index(
    evidences: Sequence[Evidence],
    explanations: Mapping[tuple[str, int, str], Explanation],
    cards: Sequence[Mapping[str, Any]],
    metrics: Mapping[ScoreGroup, str],
) -> dict[str, Any]:
    features, groups = [], list(metrics)
    for evidence, card in zip(evidences, cards, strict=True):
        told = [explanations.get((evidence.dictionary, evidence.feature, group.explainer)) for group in groups]
        failures = [explanation.failure if explanation else None for explanation in told]
        texts = [(explanation.text if explanation else None) or "" for explanation in told]
        figures = [score.get("score") for score in card["scores"]]
        reasons = [score["unscored"] for score in card["scores"]]
        features.append([evidence.dictionary, evidence.feature, evidence.density, texts, failures, figures, reasons])
    return {
        "perChunk": _FEATURES_PER_CHUNK,
        "groups": _group_names(groups),
        "apart": [metric != "accuracy" for metric in metrics.values()],  # of a trial the kind is the intruder's
        "heads": [title_of(metric) for metric in metrics.values()],
        "columns": [card_columns(metric) for metric in metrics.values()],
        "features": features,
    }


def _metrics(
    groups: Sequence[ScoreGroup], rows: Mapping[tuple[str, int, ScoreGroup], Mapping[str, Any]]
) -> dict[ScoreGroup, str]:
    known = {group: row["metric"] for (_, _, group), row in rows.items()}
    return {group: known.get(group) or "f1" for group in groups}


def _group_names(groups: Sequence[ScoreGroup]) -> list[str]:
    """Scorer names, with explainer, judge and prompt if needed to tell groups apart."""
    scorers = [group.scorer for group in groups]
    pairs = [(group.scorer, group.explainer) for group in groups]
    names = []
    for group, pair in zip(groups, pairs, strict=True):
        if scorers.count(group.scorer) == 1:
            names.append(group.scorer)
        elif pairs.count(pair) == 1:
            names.append(f"{group.scorer} of {group.explainer}")
        else:
            names.append(f"{group.scorer} of {group.explainer} ({group.judge}, {group.prompt_hash[:8]})")
    return names


def _group(row: Mapping[str, Any]) -> ScoreGroup:
    return ScoreGroup(row["explainer"], row["scorer"], row["judge"], row["prompt_hash"])


def _distributions(
    section: Section, rows: Mapping[tuple[str, int, ScoreGroup], Mapping[str, Any]]
) -> list[dict[str, Any]]:
    values: dict[tuple[str, ScoreGroup], list[float]] = {}
    for (dictionary, _, group), row in rows.items():
        if (score := row[_ranked_by(section)]) is not None:
            values.setdefault((entry_of(dictionary), group), []).append(score)
    samples = [values.get((s.entry["dictionary"], _group(s.entry)), []) for s in section.standings]
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
