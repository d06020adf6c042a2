"""A run's evidence, explanations and verdicts by feature, as other tools' formats need them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Explanation, Verdict
from autointerp.records.window import Window

__all__ = ["FeatureAnswers", "RunRecords", "gather", "safe_name"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

# Measures with a yes or no per window, the only ones other formats have.
WINDOW_MEASURES = ("windows", "marks", "strata")


@dataclass(frozen=True, slots=True)
class RunRecords:
    """A run's records."""

    name: str
    subject: str  # the model's name
    explain_judge: str
    evidences: Sequence[Evidence]
    explanations: Sequence[Explanation]
    verdicts: Sequence[Verdict]
    measures: Mapping[str, str]  # by scorer


@dataclass(frozen=True, slots=True)
class FeatureAnswers:
    """One feature under one explainer and scorer, with answers about firing and counted silent windows by window id."""

    evidence: Evidence
    explanation: str
    explainer: str
    scorer: str
    judge: str
    answers: tuple[tuple[Verdict, Window], ...]


def safe_name(name: str) -> str:
    """A name as a file may have it."""
    return _UNSAFE.sub("_", name).lstrip(".") or "_"


def gather(records: RunRecords) -> list[FeatureAnswers]:
    """All features with answers about windows, sorted by explainer, scorer, dictionary and feature."""
    evidence = {(e.dictionary, e.feature): e for e in records.evidences}
    told = {(e.dictionary, e.feature, e.explainer): e.text for e in records.explanations}
    lent = {(e.dictionary, w.id): w for e in records.evidences for w in e.select("score")}
    grouped: dict[tuple[str, str, str, int, str], list[Verdict]] = {}
    for v in _plain(records.verdicts, records.measures):
        grouped.setdefault((v.explainer, v.scorer, v.dictionary, v.feature, v.judge), []).append(v)
    gathered = []
    for (explainer, scorer, dictionary, feature, judge), verdicts in sorted(grouped.items()):
        own = evidence.get((dictionary, feature))
        if own is None:
            continue
        windows = {w.id: w for w in own.select("score")}
        answers = []
        for v in sorted(verdicts, key=lambda v: v.window):
            window = windows.get(v.window) or lent.get((dictionary, v.window))
            if window is not None:
                answers.append((v, window))
        text = told.get((dictionary, feature, explainer)) or ""
        gathered.append(FeatureAnswers(own, text, explainer, scorer, judge, tuple(answers)))
    return gathered


def _plain(verdicts: Iterable[Verdict], measures: Mapping[str, str]) -> Iterable[Verdict]:
    return (
        v
        for v in verdicts
        if v.control is None and v.kind != "near_miss" and measures.get(v.scorer, "windows") in WINDOW_MEASURES
    )
