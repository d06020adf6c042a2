"""Scorer `detection`: does the feature fire anywhere in this window?

The task of Paulo et al. 2024 (arXiv 2410.13928), with a prompt of its own.
"""

from __future__ import annotations

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.score.listing import ListScorer

__all__ = ["open_scorer"]


def open_scorer(settings: ScorerConfig, score: ScoreConfig) -> ListScorer:
    return ListScorer(settings, score, prompt="detection", has_marks=False)
