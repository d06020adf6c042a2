"""Explanations, verdicts, and features without verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autointerp.records.window import Kind

__all__ = ["NO_EXPLAINER", "NO_JUDGE", "Answer", "Explanation", "Reason", "Unscored", "Verdict"]

Answer = Literal["fires", "silent", "unparsed", "refused", "error"]
NO_EXPLAINER = "none"
"""Explainer of verdicts that need no explanation."""
NO_JUDGE = "none"
"""Judge of explanations made without one."""

Reason = Literal["too_few_positives", "too_few_negatives", "judge"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One explainer's text about a feature, or None with a `failure` (`missing`: its sources lack it)."""

    dictionary: str
    feature: int
    explainer: str
    judge: str
    prompt_hash: str
    text: str | None
    failure: Literal["unparsed", "refused", "error", "missing"] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer about one window; `is_firing` is the truth, unknown to judges.

    `control` None: the feature's own explanation; else `shuffled` (of a feature with similar density), `empty` or
    `generic`. `probability`: the judge's P(firing); `predictions`: activations, one per token; `share`: the window's
    share of all firing windows of the role.
    """

    dictionary: str
    feature: int
    explainer: str
    scorer: str
    judge: str
    prompt_hash: str
    control: str | None
    window: str
    kind: Kind
    is_firing: bool
    answer: Answer
    probability: float | None = None
    predictions: tuple[float, ...] | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class Unscored:
    """An explanation without verdicts under one scorer; reason `judge`: no explanation, or failed sampling."""

    dictionary: str
    feature: int
    explainer: str
    scorer: str
    reason: Reason
    detail: str
