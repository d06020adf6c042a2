"""Scorer `embedding`: AUROC of the cosine between explanation and window (Paulo et al. 2024, arXiv 2410.13928)."""

from __future__ import annotations

from autointerp.config.asking import ScoreConfig
from autointerp.judges.judge import Message
from autointerp.judges.tasks import Passage, SimilarityTask
from autointerp.score.graded import GradedScorer, GradedSettings

__all__ = ["EmbeddingScorer", "open_scorer"]


def open_scorer(settings: GradedSettings, score: ScoreConfig) -> EmbeddingScorer:
    return EmbeddingScorer(settings, score, prompt="embedding")


class EmbeddingScorer(GradedScorer):
    """One request per feature with the explanation and all windows."""

    needed = "has_similarities"

    def task(self, explanation: str, passages: tuple[Passage, ...]) -> SimilarityTask:
        return SimilarityTask(explanation, passages)

    def words(self, explanation: str, passages: tuple[Passage, ...]) -> tuple[Message, ...]:
        return self._prompt.render(explanation=explanation, windows=[passage.text for passage in passages])

    def probability(self, number: float) -> float:
        """(1 + cosine) / 2."""
        return (1.0 + number) / 2.0
