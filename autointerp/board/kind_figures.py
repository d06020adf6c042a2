"""A feature's figures by kind of silent window, and at its true firing rate instead of one half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from autointerp.board.metrics import SILENT_KINDS
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Verdict
from autointerp.records.window import Window
from autointerp.score.scorer import Measure
from autointerp.stats.prevalence import f1_at, precision_at, weighted_recall, window_prevalence

__all__ = ["kind_figures", "population_figures"]

# Measures with a yes or no about something firing or silent.
_ANSWERED: frozenset[Measure] = frozenset({"windows", "marks", "strata", "tokens"})


def kind_figures(verdicts: Sequence[Verdict], *, measure: Measure) -> dict[str, Any]:
    """`specificity_KIND`, share of a kind's silent windows judged silent (lost is wrong), and their number `n_KIND`.

    Empty for scorers without yes or no.
    """
    if measure not in _ANSWERED:
        return {}
    figures: dict[str, Any] = {}
    for kind in SILENT_KINDS:
        answers = [v.answer for v in verdicts if v.kind == kind and not v.is_firing]
        figures[f"n_{kind}"] = len(answers)
        figures[f"specificity_{kind}"] = answers.count("silent") / len(answers) if answers else None
    return figures


def population_figures(
    evidence: Evidence, verdicts: Sequence[Verdict], windows: Mapping[str, Window], *, measure: Measure
) -> dict[str, Any]:
    """Recall, precision and F1 at the true rate; empty for scorers without windows or marks.

    `population_recall` weights each judged window by the share it stands for; None if the sampler does not tell
    (`top`). Precision follows by Bayes from `prevalence` and the false-alarm rate on random windows. Lost answers are
    wrong.
    """
    if measure not in ("windows", "marks", "strata"):
        return {}
    firing = [v for v in verdicts if v.is_firing]
    recall = None
    if firing and all(v.share is not None for v in firing):
        right = {place: (int(v.answer == "fires"), 1) for place, v in enumerate(firing)}
        recall = weighted_recall(right, {place: v.share or 0.0 for place, v in enumerate(firing)})
    prevalence = _prevalence(evidence, verdicts, windows, measure)
    figures = {"population_recall": recall, "prevalence": prevalence}
    silent = [v for v in verdicts if v.kind == "random" and not v.is_firing]
    if recall is None or prevalence is None or not silent:
        return figures
    # Of n random windows, a rate below 1/n looks like 0: the precision of a single feature is rough.
    rates = {"recall": recall, "false_alarm": sum(v.answer != "silent" for v in silent) / len(silent)}
    return figures | {
        "precision_at_prevalence": precision_at(prevalence, **rates),
        "f1_at_prevalence": f1_at(prevalence, **rates),
    }


def _prevalence(
    evidence: Evidence, verdicts: Sequence[Verdict], windows: Mapping[str, Window], measure: Measure
) -> float | None:
    if measure == "marks":
        return evidence.density
    if evidence.counts is not None and evidence.counts.prevalence is not None:
        return evidence.counts.prevalence
    lengths = [len(windows[v.window].token_ids) for v in verdicts if v.window in windows]
    return window_prevalence(evidence.density, n_tokens=round(median(lengths))) if lengths else None
