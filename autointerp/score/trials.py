"""Scorers whose items are trials: one request each, answered by the number of an option."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.config.section import Positive
from autointerp.judges.judge import Reply, Request
from autointerp.judges.tasks import Passage, Task
from autointerp.prompting.marking import firing_spans
from autointerp.prompting.numbered import diagnose_number, number_schema, parse_number
from autointerp.prompting.refusals import is_refusal
from autointerp.records.window import Window
from autointerp.score.prompted import PromptedScorer
from autointerp.score.scorer import AnswerRead, Item, Question

__all__ = ["TrialScorer", "TrialSettings", "WindowTrialSettings", "as_passage", "deal"]


class TrialSettings(ScorerConfig):
    """Settings of scorers that ask in trials."""

    uses = frozenset[str]()

    n_trials: Positive = 10
    """Requests per feature."""


class WindowTrialSettings(TrialSettings):
    """Settings of scorers whose trials show windows."""

    uses = frozenset({"sampling"})

    marks: bool = False
    """Mark the tokens that the feature fires on; in a silent window, any tokens."""


class TrialScorer(PromptedScorer):
    """Asks about one trial at a time; a subclass samples and words the trials."""

    def __init__(self, settings: TrialSettings, score: ScoreConfig, *, prompt: str, noun: str) -> None:
        """`noun` names the options in a repeated question."""
        super().__init__(settings, score, prompt=prompt, again="reask_number")
        self._n_trials = settings.n_trials
        self._noun = noun

    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        return tuple(Question(self._request(explanation, item), (item,)) for item in items)

    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """`fires` for the right option, `silent` for any other."""
        (item,) = question.items
        if reply.finish == "refused":
            return (AnswerRead("refused"),)
        number = parse_number(reply.text, len(item.shown), is_cut=reply.finish == "length")
        if number is None:
            return (AnswerRead("refused" if is_refusal(reply.text) else "unparsed"),)
        return (AnswerRead("fires" if number - 1 in item.places else "silent"),)

    def _describe(self, question: Question, reply: Reply) -> Mapping[str, object]:
        n = len(question.items[0].shown)
        problem = diagnose_number(reply.text, n, is_cut=reply.finish == "length")
        return {"n_options": n, "noun": self._noun, "problem": problem}

    @abstractmethod
    def words(self, explanation: str, item: Item) -> tuple[Task, dict[str, Any]]:
        """The task of a trial and the variables of its prompt."""

    def _request(self, explanation: str, item: Item) -> Request:
        task, variables = self.words(explanation, item)
        return self._ask(task, self._prompt.render(**variables), number_schema(len(item.shown)))


def as_passage(window: Window, *, has_marks: bool) -> Passage:
    """The window as a judge may see it, with the firing tokens marked or not."""
    marks = tuple(span for span, _ in firing_spans(window)) if has_marks else ()
    return Passage(window.text, marks=marks)


def deal(windows: Sequence[Window], n: int, n_hands: int, rng: np.random.Generator) -> list[list[Window]]:
    """`n_hands` hands of `n` distinct windows; windows repeat between hands only after all are dealt.

    Raises ValueError for fewer than `n` windows.
    """
    if len(windows) < n:
        raise ValueError(f"{len(windows)} windows, a hand takes {n}")
    hands: list[list[Window]] = []
    stack: list[Window] = []
    while len(hands) < n_hands:
        if len(stack) < n:
            stack = [windows[index] for index in rng.permutation(len(windows))]
        hands.append([stack.pop() for _ in range(n)])
    return hands
