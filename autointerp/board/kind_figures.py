"""A feature's figures by kind of silent window, and at the rate at which it fires in truth.

F1 is of a set made half of firing windows; in text a feature fires in one window of many. Takes verdicts of one feature
with its own explanation, and its evidence; knows nothing of means over features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from autointerp.board.metrics import SILENT_KINDS
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Verdict
from autointerp.records.window import Window
from autointerp.score.protocol import Measure
from autointerp.stats.prevalence import f1_at, precision_at, weighted_recall, window_prevalence

__all__ = ["kind_figures", "population_figures"]

_ANSWERED: frozenset[Measure] = frozenset({"windows", "marks", "strata", "tokens"})
"""Measures whose verdicts are a yes or no about something that fires or is silent."""


def kind_figures(verdicts: Sequence[Verdict], *, measure: Measure) -> dict[str, Any]:
    """`specificity_KIND`, the share of the silent windows of a kind that were judged silent (a lost answer is wrong),
    and `n_KIND`, how many there were. Empty for scorers that do not answer yes or no."""
    if measure not in _ANSWERED:
        return {}
    found: dict[str, Any] = {}
    for kind in SILENT_KINDS:
        answers = [v.answer for v in verdicts if v.kind == kind and not v.is_firing]
        found[f"n_{kind}"] = len(answers)
        found[f"specificity_{kind}"] = answers.count("silent") / len(answers) if answers else None
    return found


def population_figures(
    evidence: Evidence, verdicts: Sequence[Verdict], windows: Mapping[str, Window], *, measure: Measure
) -> dict[str, Any]:
    """Recall, precision and F1 at the true rate, as far as they are known; empty for scorers of no windows or marks.

    `population_recall`: recall over all firing windows of the role, from the share that each judged one stands for;
    None where a sampler did not tell (`top`). `prevalence`: the share of windows the feature fires in, as counted by
    the harvest, or from its density as an upper bound; for marked tokens its density. With the false-alarm rate on
    random silent windows, the only ones drawn as they come, that gives precision (Bayes) and F1. A lost answer is
    wrong. Of n random windows a false-alarm rate below 1/n cannot be told from none: over features it averages out,
    for one feature precision is rough.
    """
    if measure not in ("windows", "marks", "strata"):
        return {}
    firing = [v for v in verdicts if v.is_firing]
    recall = None
    if firing and all(v.share is not None for v in firing):
        right = {place: (int(v.answer == "fires"), 1) for place, v in enumerate(firing)}
        recall = weighted_recall(right, {place: v.share or 0.0 for place, v in enumerate(firing)})
    prevalence = _prevalence(evidence, verdicts, windows, measure)
    found = {"population_recall": recall, "prevalence": prevalence}
    silent = [v for v in verdicts if v.kind == "random" and not v.is_firing]
    if recall is None or prevalence is None or not silent:
        return found
    rates = {"recall": recall, "false_alarm": sum(v.answer != "silent" for v in silent) / len(silent)}
    return found | {
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
