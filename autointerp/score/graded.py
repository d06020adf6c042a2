"""Scorers with one probability per window: one request per feature, to a judge that measures instead of chatting."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.tasks import Passage, Task
from autointerp.prompting.templates import load_prompt
from autointerp.records.evidence import Evidence
from autointerp.score.sampling import sample_items
from autointerp.score.scorer import AnswerRead, Item, Question, Scale, Scorer, Unscorable

__all__ = ["GradedScorer", "GradedSettings"]


class GradedSettings(ScorerConfig):
    """Settings of scorers that ask about all windows at once."""

    uses = frozenset({"n_positive", "n_negative", "n_near_miss", "sampling", "negatives"})


class GradedScorer(Scorer):
    """Asks for one number per window; a subclass gives task, texts and meaning of the number."""

    scale = Scale("ranks")

    def __init__(self, settings: ScorerConfig, score: ScoreConfig, *, prompt: str) -> None:
        super().__init__(settings, score)
        self._prompt = load_prompt(f"score/{prompt}")

    @property
    def prompt_hash(self) -> str:
        return self._prompt.hash

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        return sample_items(evidence, self._settings, rng, others=others)

    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        passages = tuple(Passage(item.window.text) for item in items)
        request = Request(
            task=self.task(explanation, passages),
            messages=self.words(explanation, passages),
            max_tokens=self._score.max_tokens,
        )
        return (Question(request, tuple(items)),)

    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """One probability per window, and `fires` from 0.5 on."""
        n = len(question.items)
        if reply.finish == "refused":
            return (AnswerRead("refused"),) * n
        probabilities = self._probabilities(reply, n)
        if probabilities is None:
            return (AnswerRead("unparsed"),) * n
        # The threshold has no meaning of its own: metrics use the order of the probabilities.
        return tuple(AnswerRead("fires" if p >= 0.5 else "silent", p) for p in probabilities)

    @abstractmethod
    def task(self, explanation: str, passages: tuple[Passage, ...]) -> Task:
        """The typed task."""

    @abstractmethod
    def words(self, explanation: str, passages: tuple[Passage, ...]) -> tuple[Message, ...]:
        """The texts for the judge."""

    @abstractmethod
    def probability(self, number: float) -> float:
        """A number of the reply as a probability."""

    def _probabilities(self, reply: Reply, n: int) -> list[float] | None:
        stated = reply.probabilities
        if stated is None:
            try:
                values = json.loads(reply.text)
            except (ValueError, RecursionError):
                return None
            if not isinstance(values, list) or any(
                isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
                for value in values
            ):
                return None
            stated = tuple(self.probability(float(value)) for value in values)
        is_whole = len(stated) == n and all(0.0 <= p <= 1.0 for p in stated)
        return list(stated) if is_whole else None
