"""Scorer `pattern_tokens`: on which tokens does the feature fire? F1 over tokens, as Neuron2Graph (Foote et al. 2023).

A token fires by the feature's own rule; Neuron2Graph counts from half of the maximum on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autointerp.config.asking import ScoreConfig
from autointerp.judges.judge import Reply
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.prompting.parsing import diagnose, find_answers
from autointerp.prompting.probabilities import answer_probabilities
from autointerp.score.listing import reply_schema
from autointerp.score.scorer import Question, Scale
from autointerp.score.token_by_token import TokenScorer, TokenSettings

__all__ = ["PatternTokensScorer", "open_scorer"]


class PatternTokensScorer(TokenScorer):
    """A yes or no about every token."""

    scale = Scale("firings")

    def _task(self, explanation: str, text: str, spans: tuple[tuple[int, int], ...]) -> ScoreTask:
        return ScoreTask(explanation, tuple(Passage(text, span) for span in spans))

    def _schema(self, n: int) -> Mapping[str, Any]:
        return reply_schema(n)

    def _values(self, reply: Reply, n: int) -> Sequence[float] | None:
        """The answers; None if one of them is missing."""
        answers = find_answers(reply.text, n, is_cut=reply.finish == "length")
        if answers is None:
            return None
        graded = zip(answers.values, answer_probabilities(reply, answers), strict=True)
        values = [float(value) if p is None else p for value, p in graded if value is not None]
        return values if len(values) == n else None

    def _describe(self, question: Question, reply: Reply) -> Mapping[str, object]:
        n = self._n_asked(question.items[0])
        return {"n_answers": n, "noun": "tokens", "problem": diagnose(reply.text, n, is_cut=reply.finish == "length")}


def open_scorer(settings: TokenSettings, score: ScoreConfig) -> PatternTokensScorer:
    return PatternTokensScorer(settings, score, prompt="pattern_tokens", again="reask")
