"""What a section of the leaderboard shows beside each entry: its heading metric, its chance line, the measures that
mean something under its scorer.

Takes entries as `summary.json` holds them; knows nothing of how a table is drawn.
"""

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
    """A score that needs no reading: its name, how it is marked in charts, and its value."""

    title: str
    head: str
    mark: str
    value: float | None


def metric_of(entry: Entry) -> str:
    """The metric that an entry is ranked by; entries of summaries before there were several have F1."""
    return entry.get("metric") or "f1"


def interval_of(entry: Entry) -> Mapping[str, Any] | None:
    """The figure that an entry is ranked by, None where it has none."""
    return entry["score"] if "score" in entry else entry["f1"]


def deviation_of(entry: Entry, metric: str) -> float | None:
    """The standard deviation over features of what a section is ranked by."""
    return entry.get(f"{metric}_deviation" if metric == "f1_cut" else "score_deviation")


def chances_of(entry: Entry, metric: str) -> tuple[Chance, ...]:
    """What guessing reaches in a heading metric: always-yes and a coin for F1, else what the scorer states."""
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
    """The chance lines of a chart: how each is marked, and where."""
    return {chance.mark: chance.value for chance in chances_of(entry, metric)}


def measures_of(heading: str, entries: Sequence[Entry]) -> tuple[Metric, ...]:
    """The metrics shown beside a heading metric that at least one of the entries has, in the order of columns."""
    beside = [metric for metric in METRICS if metric.drop_beside(heading) is not None]
    known = [metric for metric in beside if any(entry.get(metric.name) for entry in entries)]
    return tuple(sorted(known, key=lambda metric: metric.place))


def dead_share(entry: Entry) -> str:
    """The share of the dictionary's features that never fired on held-out text, in percent; a dash where it was not
    measured."""
    share = (entry.get("quality") or {}).get("dead_frac")
    return "-" if share is None else "100%" if share == 1 else f"{share:.1%}"


def origin_of(entry: Entry) -> str | None:
    """Where a dictionary comes from that was not trained in the run, None for one that was."""
    origin = entry.get("origin")
    if not origin:
        return None
    made_for = " ".join(str(origin[key]) for key in ("model", "hook") if origin.get(key))
    text = f"{origin.get('format')} {origin.get('architecture')}" + (f" made for {made_for}" if made_for else "")
    return text + (f" (force = true: {'; '.join(origin['forced'])})" if origin.get("forced") else "")
