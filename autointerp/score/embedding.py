"""Scorer `embedding`: is the explanation nearer in meaning to the windows in which the feature fires?

A judge that embeds texts gives the cosine between the explanation and every window; the score is how well the cosines
tell firing windows from silent ones (AUROC). No answer of a language model is needed, so it is the cheapest scorer with
an explanation (Paulo et al. 2024, arXiv 2410.13928, "embedding").
"""

from __future__ import annotations

from autointerp.config.asking import ScoreConfig
from autointerp.judges.protocol import Message
from autointerp.judges.tasks import Passage, SimilarityTask
from autointerp.score.graded import GradedScorer, GradedSettings

__all__ = ["EmbeddingScorer", "open_scorer"]


def open_scorer(settings: GradedSettings, score: ScoreConfig) -> EmbeddingScorer:
    """The scorer `embedding`."""
    return EmbeddingScorer(settings, score, prompt="embedding")


class EmbeddingScorer(GradedScorer):
    """One request per feature: the explanation and all windows."""

    needed = "has_similarities"

    def task(self, explanation: str, passages: tuple[Passage, ...]) -> SimilarityTask:
        return SimilarityTask(explanation, passages)

    def words(self, explanation: str, passages: tuple[Passage, ...]) -> tuple[Message, ...]:
        """The texts one below the other: judges embed those of the task, this is what the journal shows."""
        return self._prompt.render(explanation=explanation, windows=[passage.text for passage in passages])

    def probability(self, number: float) -> float:
        """(1 + cosine) / 2."""
        return (1.0 + number) / 2.0
