"""What scoring leaves behind: verdicts, and the features that have none with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp.records.verdict import Verdict
from autointerp.score.protocol import Reason

__all__ = ["Scoring", "Unscored"]


@dataclass(frozen=True, slots=True, order=True)
class Unscored:
    """A feature without verdicts under one scorer, and why. `judge`: it has no explanation, or its sampling failed."""

    dictionary: str
    feature: int
    scorer: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Scoring:
    """All verdicts and all features that have none, sorted."""

    verdicts: tuple[Verdict, ...]
    unscored: tuple[Unscored, ...]
