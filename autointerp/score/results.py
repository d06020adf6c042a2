"""What scoring leaves behind: verdicts, and the features that have none with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp.records.verdict import Unscored, Verdict

__all__ = ["Scoring"]


@dataclass(frozen=True, slots=True)
class Scoring:
    """All verdicts and all features that have none, sorted."""

    verdicts: tuple[Verdict, ...]
    unscored: tuple[Unscored, ...]
