"""Scorer `marked`: one token of each window stands between marks, and the judge says whether the feature fires on it.

The task behind the F1 of O'Neill, Gumran & Klindt 2024 (appendix H.2). Silent windows have their marked token, too.
"""

from __future__ import annotations

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.score.listing import ListScorer

__all__ = ["open_scorer"]


def open_scorer(settings: ScorerConfig, score: ScoreConfig) -> ListScorer:
    """The scorer `marked`."""
    return ListScorer(settings, score, prompt="marked", has_marks=True)
