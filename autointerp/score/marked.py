"""Scorer `marked`: does the feature fire on the marked token? (F1 of O'Neill, Gumran & Klindt 2024, appendix H.2)

Silent windows have a marked token as well.
"""

from __future__ import annotations

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.score.listing import ListScorer

__all__ = ["open_scorer"]


def open_scorer(settings: ScorerConfig, score: ScoreConfig) -> ListScorer:
    return ListScorer(settings, score, prompt="marked", has_marks=True)
