"""Scorers with one prediction per token, one window per request.

A token with only the rest of a character is not shown; it gets the prediction of the token that shows the character.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autointerp.config.asking import ScorerConfig
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.tasks import ScoreTask, SimulateTask
from autointerp.prompting.marking import quote
from autointerp.prompting.refusals import is_refusal
from autointerp.records.evidence import Evidence
from autointerp.records.window import HARD, Window
from autointerp.score.prompted import PromptedScorer
from autointerp.score.scorer import AnswerRead, Item, Question, Unscorable

__all__ = ["FIRES_FROM", "ShownTokens", "TokenScorer", "TokenSettings", "shown_tokens"]

FIRES_FROM = 0.5  # predictions from here on mean firing: a probability, or a strength from 0 to 1

_REPLY_TOKENS_AROUND, _REPLY_TOKENS_EACH = 32, 4  # room for a reply in tokens: a fixed part, and for each entry


class ShownTokens(NamedTuple):
    """Character spans of the tokens that can be shown, and per token of the window the place of its shown token."""

    spans: tuple[tuple[int, int], ...]
    belonging: tuple[int, ...]


def shown_tokens(window: Window) -> ShownTokens:
    """The window's tokens with a character of their own."""
    spans, owners = window.piece_spans(), window.owners()
    shown = sorted(set(owners))
    place = {owner: index for index, owner in enumerate(shown)}
    return ShownTokens(tuple(spans[owner] for owner in shown), tuple(place[owner] for owner in owners))


class TokenSettings(ScorerConfig):
    """Settings of scorers that ask about every token of a window."""

    uses = frozenset({"n_positive", "n_negative", "sampling", "negatives"})


class TokenScorer(PromptedScorer):
    """Asks about all tokens of one window at a time; subclasses give task and reply format."""

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """Firing and silent windows, shuffled, without near misses and their like."""
        items = super().sample(evidence, rng, others=others)
        return items if isinstance(items, Unscorable) else tuple(item for item in items if item.kind not in HARD)

    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        return tuple(Question(self._request(explanation, item), (item,)) for item in items)

    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """The answer with its predictions; a list of another length is unparsed or refused."""
        (item,) = question.items
        if reply.finish == "refused":
            return (AnswerRead("refused"),)
        values = self._values(reply, self._n_asked(item))
        if values is None:
            return (AnswerRead("refused" if is_refusal(reply.text) else "unparsed"),)
        answer = "fires" if max(values) >= FIRES_FROM else "silent"
        return (AnswerRead(answer, predictions=self._predictions(item, values)),)

    def _n_asked(self, item: Item) -> int:
        return len(shown_tokens(item.window).spans)

    def _predictions(self, item: Item, values: Sequence[float]) -> tuple[float, ...]:
        return tuple(values[place] for place in shown_tokens(item.window).belonging)

    def _request(self, explanation: str, item: Item) -> Request:
        text, spans = item.window.text, shown_tokens(item.window).spans
        messages = self._prompt.render(
            explanation=quote(explanation),
            text=quote(text),
            n_tokens=len(spans),
            tokens=[quote(text[start:end]) for start, end in spans],
        )
        return self._ask_about(len(spans), self._task(explanation, text, spans), messages)

    def _ask_about(self, n: int, task: ScoreTask | SimulateTask, messages: tuple[Message, ...]) -> Request:
        return self._ask(task, messages, self._schema(n), min_tokens=_REPLY_TOKENS_AROUND + _REPLY_TOKENS_EACH * n)

    @abstractmethod
    def _task(self, explanation: str, text: str, spans: tuple[tuple[int, int], ...]) -> ScoreTask | SimulateTask: ...

    @abstractmethod
    def _schema(self, n: int) -> Mapping[str, Any]: ...

    @abstractmethod
    def _values(self, reply: Reply, n: int) -> Sequence[float] | None:
        """One number per token asked about, or None if unreadable."""
