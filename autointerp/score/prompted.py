"""Scorers that ask by a prompt file: what they have in common, so that each is a small file of its own.

Takes the names of the prompt and of the one that asks again. Two of them differ in which items they choose, what they
ask about them and how a reply is read.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.protocol import Message, Reply, Request
from autointerp.judges.tasks import Task
from autointerp.prompting.reasking import reask
from autointerp.prompting.templates import joint_hash, load_prompt
from autointerp.records.evidence import Evidence
from autointerp.score.protocol import Item, Question, Scorer, Unscorable
from autointerp.score.sampling import sample_items

__all__ = ["PromptedScorer"]


class PromptedScorer(Scorer):
    """Asks by the prompt `score/PROMPT`, and once more by `score/AGAIN` where nothing could be read in a reply."""

    def __init__(self, settings: ScorerConfig, score: ScoreConfig, *, prompt: str, again: str) -> None:
        super().__init__(settings, score)
        self._prompt, self._again = load_prompt(f"score/{prompt}"), load_prompt(f"score/{again}")

    @property
    def prompt_hash(self) -> str:
        """That of the prompt, jointly with the one that asks again where that may happen."""
        return joint_hash(self._prompt, self._again) if self._score.reasks else self._prompt.hash

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """The windows to judge, shuffled (see `sampling.sample_items`)."""
        return sample_items(evidence, self._settings, rng, others=others)

    def reask(self, question: Question, replies: Sequence[Reply]) -> Request | None:
        """Once more, as often as `score.reasks` says, where nothing could be read in the last reply.

        An answer that is missing in a list that could be read (`null`) is the judge's own, and no reason to ask again.
        """
        is_lost = all(read.answer == "unparsed" for read in self.read(question, replies[-1]))
        if not is_lost or len(replies) > self._score.reasks:
            return None
        return reask(question.request, replies, prompt=self._again, describe=partial(self._describe, question))

    @abstractmethod
    def _describe(self, question: Question, reply: Reply) -> Mapping[str, object]:
        """The variables of the prompt that asks again: what was wrong with the reply."""

    def _ask(
        self, task: Task, messages: tuple[Message, ...], schema: Mapping[str, Any], *, min_tokens: int = 0
    ) -> Request:
        """The request, with the settings of the section; `min_tokens` is what a long reply takes."""
        return Request(
            task=task,
            messages=messages,
            max_tokens=max(self._score.max_tokens, min_tokens),
            temperature=self._score.temperature,
            reply_schema=schema,
            want_logprobs=self._score.want_logprobs,
        )
