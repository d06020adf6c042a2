"""Columns of a leaderboard section: heading metric, chance and further measures of each entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from autointerp.board.metrics import METRICS, Metric

__all__ = [
    "Chance",
    "chances_of",
    "dead_share",
    "deviation_of",
    "interval_of",
    "marks_of",
    "measures_of",
    "metric_of",
    "origin_of",
]

Entry = Mapping[str, Any]


class Chance(NamedTuple):
    """A score reached by guessing: title, column head, chart mark and value."""

    title: str
    head: str
    mark: str
    value: float | None


def metric_of(entry: Entry) -> str:
    """The metric an entry is ranked by; F1 in old summaries."""
    return entry.get("metric") or "f1"


def interval_of(entry: Entry) -> Mapping[str, Any] | None:
    """The figure an entry is ranked by, or None."""
    return entry["score"] if "score" in entry else entry["f1"]


def deviation_of(entry: Entry, metric: str) -> float | None:
    """Standard deviation over features of the ranked metric."""
    return entry.get(f"{metric}_deviation" if metric == "f1_cut" else "score_deviation")


def chances_of(entry: Entry, metric: str) -> tuple[Chance, ...]:
    """Scores of guessing: always-yes and a coin for F1, else the scorer's chance."""
    if metric == "f1_cut":  # of as many firing as silent windows
        return (Chance("always yes", "always\nyes", "always-yes", 2 / 3), Chance("coin", "coin", "coin", 0.5))
    if metric in ("f1", "macro_f1"):
        baselines = entry["baselines"]
        return (
            Chance("always yes", "always\nyes", "always-yes", baselines[f"always_yes_{metric}"]),
            Chance("coin", "coin", "coin", baselines[f"coin_{metric}"]),
        )
    return (Chance("chance", "chance", "always-yes", entry.get("chance")),)


def marks_of(entry: Entry, metric: str) -> dict[str, float | None]:
    return {chance.mark: chance.value for chance in chances_of(entry, metric)}


def measures_of(heading: str, entries: Sequence[Entry]) -> tuple[Metric, ...]:
    """Metrics shown beside a heading metric that some entry has, in column order."""
    beside = [metric for metric in METRICS if metric.drop_beside(heading) is not None]
    known = [metric for metric in beside if any(entry.get(metric.name) for entry in entries)]
    return tuple(sorted(known, key=lambda metric: metric.place))


def dead_share(entry: Entry) -> str:
    """Percentage of features that never fired on held-out text, or a dash."""
    share = (entry.get("quality") or {}).get("dead_frac")
    return "-" if share is None else "100%" if share == 1 else f"{share:.1%}"


def origin_of(entry: Entry) -> str | None:
    """The source of a dictionary trained elsewhere, or None."""
    origin = entry.get("origin")
    if not origin:
        return None
    made_for = " ".join(str(origin[key]) for key in ("model", "hook") if origin.get(key))
    text = f"{origin.get('format')} {origin.get('architecture')}" + (f" made for {made_for}" if made_for else "")
    return text + (f" (force = true: {'; '.join(origin['forced'])})" if origin.get("forced") else "")
