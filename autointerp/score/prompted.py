"""Scorers that ask with a prompt file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.config.prompts import score_changes
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.tasks import Task
from autointerp.prompting.notation import Notation
from autointerp.prompting.reasking import reask
from autointerp.prompting.templates import joint_hash, load_changed_prompt, load_prompt
from autointerp.records.evidence import Evidence
from autointerp.score.sampling import sample_items
from autointerp.score.scorer import Item, Question, Scorer, Unscorable

__all__ = ["PromptedScorer"]


class PromptedScorer(Scorer):
    """Asks with the prompt `score/PROMPT`, and with `score/AGAIN` after an unreadable reply."""

    def __init__(self, settings: ScorerConfig, score: ScoreConfig, *, prompt: str, again: str) -> None:
        super().__init__(settings, score)
        self._prompt = load_changed_prompt(f"score/{prompt}", score_changes(score.prompts))
        self._again = load_prompt(f"score/{again}")
        self._notation = Notation.of(self._prompt.changes)

    @property
    def prompt_hash(self) -> str:
        """Hash of the prompt, jointly with the second one if it may be used."""
        return joint_hash(self._prompt, self._again) if self._score.reasks else self._prompt.hash

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        return sample_items(evidence, self._settings, rng, others=others)

    def reask(self, question: Question, replies: Sequence[Reply]) -> Request | None:
        """The next request after an unreadable reply, at most `score.reasks` times."""
        is_lost = all(read.answer == "unparsed" for read in self.read(question, replies[-1]))
        if not is_lost or len(replies) > self._score.reasks:
            return None
        return reask(question.request, replies, prompt=self._again, describe=partial(self._describe, question))

    @abstractmethod
    def _describe(self, question: Question, reply: Reply) -> Mapping[str, object]:
        """Variables of the second prompt."""

    def _ask(
        self, task: Task, messages: tuple[Message, ...], schema: Mapping[str, Any], *, min_tokens: int = 0
    ) -> Request:
        """The request, with at least `min_tokens` for the reply."""
        return Request(
            task=task,
            messages=messages,
            max_tokens=max(self._score.max_tokens, min_tokens),
            temperature=self._score.temperature,
            reply_schema=schema,
            want_logprobs=self._score.want_logprobs,
        )
