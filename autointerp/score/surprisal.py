"""Scorer `surprisal`: does the explanation make the windows likelier in which the feature fires?

A language model that knows how likely a text is reads every window twice, behind the explanation and behind a sentence
that says nothing. An explanation that holds what the windows have in common makes them less surprising; the score is
how well the gain, in nats per token, tells firing windows from silent ones (AUROC; Paulo et al. 2024, arXiv 2410.13928,
"surprisal").
"""

from __future__ import annotations

import math

from autointerp.config.asking import ScoreConfig
from autointerp.judges.protocol import Message
from autointerp.judges.tasks import LikelihoodTask, Passage
from autointerp.score.graded import GradedScorer, GradedSettings

__all__ = ["SurprisalScorer", "open_scorer"]

_FARTHEST = 700.0
"""Nats beyond which a logistic value is 0 or 1."""


def open_scorer(settings: GradedSettings, score: ScoreConfig) -> SurprisalScorer:
    """The scorer `surprisal`."""
    return SurprisalScorer(settings, score, prompt="surprisal")


class SurprisalScorer(GradedScorer):
    """One request per feature: two beginnings, then all windows."""

    needed = "has_likelihoods"

    def task(self, explanation: str, passages: tuple[Passage, ...]) -> LikelihoodTask:
        return LikelihoodTask(explanation, passages)

    def words(self, explanation: str, passages: tuple[Passage, ...]) -> tuple[Message, ...]:
        """The beginning with the explanation, the one without, and each window as it stands: a text that is quoted
        would be another text."""
        beginnings = self._prompt.render(explanation=explanation)
        return (*beginnings, *(Message("user", passage.text) for passage in passages))

    def probability(self, number: float) -> float:
        """The logistic value of a gain in nats per token."""
        return 1.0 / (1.0 + math.exp(-max(-_FARTHEST, min(_FARTHEST, number))))
