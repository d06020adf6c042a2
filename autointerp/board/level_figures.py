"""A feature's scores at every level of truncation, and at the common firing rate of a run's dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from autointerp.config.dictionary_name import entry_of
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_book import Outlined
from autointerp.records.verdict import Verdict
from autointerp.records.window import Window
from autointerp.score.scorer import Measure
from autointerp.stats.levels import LEVELS, CutScore, JudgedFiring, cut_score, threshold_at
from autointerp.stats.lookup import TokenRule

__all__ = ["LEVEL_FIGURES", "common_density", "level_figures"]

# Figures at every level: firing against silent windows (first two), against weaker firings, over another explanation
# and over the token list.
LEVEL_FIGURES = ("f1", "balanced_accuracy", "over_weak", "excess", "beyond_token")

Shown = Mapping[str, Window | None]


def common_density(features: Sequence[Outlined]) -> float | None:
    """The firing rate of comparisons: the lowest median rate of any entry, seeds pooled; None for one entry."""
    rates: dict[str, list[float]] = {}
    for feature in features:
        if feature.unscored is None:
            rates.setdefault(entry_of(feature.dictionary), []).append(feature.density)
    return min(median(values) for values in rates.values()) if len(rates) > 1 else None


def level_figures(
    evidence: Evidence,
    own: Sequence[Verdict],
    shuffled: Sequence[Verdict],
    shown: Shown,
    *,
    measure: Measure,
    density: float | None,
    rule: TokenRule,
) -> dict[str, Any]:
    """`level_METRIC` with one value per level, and `METRIC_cut` with firings cut to a share `density` of tokens;
    `lookup_f1_cut` is the token list's.

    Empty unless windows fire or stay silent as a whole, or if a firing one is missing.
    """
    firing = [v for v in own if v.is_firing]
    if measure not in ("windows", "marks") or not all(shown.get(v.window) for v in firing):
        return {}
    levels = [*LEVELS, 1.0 if density is None else min(1.0, density / evidence.density)]
    at = [threshold_at(level, edges=evidence.histogram_edges, counts=evidence.histogram_counts) for level in levels]
    judged, other = (_scores(verdicts, shown, at, measure, _is_called) for verdicts in (own, shuffled))

    def is_listed(v: Verdict) -> bool:
        window = shown.get(v.window)
        return window is not None and rule.calls_firing(window)

    has_list = all(shown.get(v.window) for v in own)
    listed = _scores(own if has_list else (), shown, at, measure, is_listed)
    columns = (
        [score and score.f1 for score in judged],
        [score and score.balanced_accuracy for score in judged],
        [score and score.over_weak for score in judged],
        [_gap(score, theirs) for score, theirs in zip(judged, other, strict=True)],
        [_gap(score, theirs) for score, theirs in zip(judged, listed, strict=True)],
    )
    figures: dict[str, Any] = {}
    for name, values in zip(LEVEL_FIGURES, columns, strict=True):
        figures[f"level_{name}"] = values[:-1]
        figures[f"{name}_cut"] = None if density is None else values[-1]
    return figures | {"lookup_f1_cut": None if density is None or listed[-1] is None else listed[-1].f1}


def _scores(
    verdicts: Sequence[Verdict],
    shown: Shown,
    thresholds: Sequence[float],
    measure: Measure,
    is_called: Callable[[Verdict], bool],
) -> list[CutScore | None]:
    alarms = [is_called(v) for v in verdicts if not v.is_firing]
    firing = [
        JudgedFiring(_activation(window, measure), is_called(v), v.share)
        for v in verdicts
        if v.is_firing and (window := shown.get(v.window)) is not None
    ]
    false_alarm = sum(alarms) / len(alarms) if alarms else None
    return [cut_score(firing, false_alarm=false_alarm, threshold=threshold) for threshold in thresholds]


def _is_called(v: Verdict) -> bool:
    return v.answer == "fires" if v.is_firing else v.answer != "silent"


def _activation(window: Window, measure: Measure) -> float:
    return window.activations[window.candidate] if measure == "marks" else window.max_activation


def _gap(score: CutScore | None, other: CutScore | None) -> float | None:
    return None if score is None or other is None else score.balanced_accuracy - other.balanced_accuracy
