"""Scorer `detection`: windows without marks, and the judge says whether the feature fires anywhere in them.

The task named in Paulo et al. 2024 (arXiv 2410.13928), with a prompt of its own.
"""

from __future__ import annotations

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.score.listing import ListScorer

__all__ = ["open_scorer"]


def open_scorer(settings: ScorerConfig, score: ScoreConfig) -> ListScorer:
    """The scorer `detection`."""
    return ListScorer(settings, score, prompt="detection", has_marks=False)
