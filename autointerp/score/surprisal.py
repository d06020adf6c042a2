"""Scorer `surprisal`: does the explanation make firing windows likelier? (Paulo et al. 2024, arXiv 2410.13928)

The score is the AUROC of the gain, in nats per token, over a sentence without content.
"""

from __future__ import annotations

import math

from autointerp.config.asking import ScoreConfig
from autointerp.judges.judge import Message
from autointerp.judges.tasks import LikelihoodTask, Passage
from autointerp.score.graded import GradedScorer, GradedSettings

__all__ = ["SurprisalScorer", "open_scorer"]

_FARTHEST = 700.0  # nats beyond which a logistic value is 0 or 1


def open_scorer(settings: GradedSettings, score: ScoreConfig) -> SurprisalScorer:
    return SurprisalScorer(settings, score, prompt="surprisal")


class SurprisalScorer(GradedScorer):
    """One request per feature: two beginnings, then all windows."""

    needed = "has_likelihoods"

    def task(self, explanation: str, passages: tuple[Passage, ...]) -> LikelihoodTask:
        return LikelihoodTask(explanation, passages)

    def words(self, explanation: str, passages: tuple[Passage, ...]) -> tuple[Message, ...]:
        """The two beginnings, then each window."""
        # Windows stand unquoted: a quoted text has another likelihood.
        beginnings = self._prompt.render(explanation=explanation)
        return (*beginnings, *(Message("user", passage.text) for passage in passages))

    def probability(self, number: float) -> float:
        """Logistic value of a gain in nats per token."""
        return 1.0 / (1.0 + math.exp(-max(-_FARTHEST, min(_FARTHEST, number))))
