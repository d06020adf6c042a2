"""The interface of scorers: windows to ask about, requests, and answers read from replies. Scorers send nothing.

Windows are chosen apart from explanations, so a control is judged on the same windows in the same batches. A factory
`(ScorerConfig, ScoreConfig) -> Scorer` is a row of `builtin_plugins.SCORERS` or an entry point `autointerp.scorers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.judge import Reply, Request
from autointerp.records.evidence import Evidence, PinnedEffect
from autointerp.records.verdict import Answer, Reason
from autointerp.records.window import Kind, Window

__all__ = ["About", "AnswerRead", "Item", "Measure", "Question", "Scale", "Scorer", "Unscorable"]

Measure = Literal["windows", "marks", "strata", "tokens", "firings", "activations", "ranks", "choices"]
"""The subject of a verdict, which decides the heading metric.

`windows`, `marks`: yes or no about a window or its marks (F1). `strata`: the same over bins of the activation range
(mean recall). `tokens`: yes or no about vocabulary entries (F1). `firings`: a prediction per token, 0.5 or more is yes
(F1 over tokens). `activations`: a number per token (correlation). `ranks`: a probability per window (AUROC). `choices`:
`fires` is the right option of a trial, or of two options, the one that is true if `is_firing` (accuracy).
"""


About = Literal["firing", "output"]
"""The topic of an explanation or question: where the feature fires, or its effect on the output."""


class Scale(NamedTuple):
    """How verdicts are read. `chance`: what guessing reaches in `choices`; `heading`: the metric if not the measure's
    own."""

    measure: Measure = "windows"
    chance: float | None = None
    needs_explanation: bool = True
    heading: str | None = None


class Item(NamedTuple):
    """A window to judge; its truth `is_firing` and its `kind` never enter a request.

    `id` names items that share a window. `shown` is what a trial shows, in order, and `places` (from 0) are the right
    option or the pair. `share` is the share of all firing windows that this one stands for, if known.
    """

    window: Window
    kind: Kind
    is_firing: bool
    id: str | None = None
    shown: tuple[Window, ...] | tuple[PinnedEffect, ...] = ()
    places: tuple[int, ...] = ()
    share: float | None = None

    @property
    def key(self) -> str:
        """The name of its verdict, unique within feature and scorer."""
        return self.window.id if self.id is None else self.id


@dataclass(frozen=True, slots=True)
class Unscorable:
    """Why a feature cannot be scored."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Question:
    """One request and its items, in order."""

    request: Request
    items: tuple[Item, ...]


class AnswerRead(NamedTuple):
    """An answer about one item, with probability of firing and predicted activation per token if known."""

    answer: Answer
    probability: float | None = None
    predictions: tuple[float, ...] | None = None


class Scorer(ABC):
    """A way to ask whether an explanation predicts a feature; a subclass chooses windows, words and how replies are
    read.

    `scale` is how verdicts are read, `about` the topic of the questions, `needed` the name of the capability a judge
    must have.
    """

    about: ClassVar[About] = "firing"
    needed: ClassVar[Literal["has_similarities", "has_likelihoods"] | None] = None
    scale: Scale = Scale()

    def __init__(self, settings: ScorerConfig, score: ScoreConfig) -> None:
        """`settings` is an entry of score.scorers, `score` the whole section."""
        self._settings, self._score = settings, score

    @property
    def name(self) -> str:
        """Its name in the results: the label of its settings, or its own name."""
        return self._settings.label or self._settings.name

    @property
    @abstractmethod
    def prompt_hash(self) -> str:
        """Hash of the prompt file, stored with every verdict."""

    @abstractmethod
    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """The windows to judge, of role `score` only, in order; random by `rng` alone.

        `others` are the dictionary's fixed other features, a source of negatives.
        """

    @abstractmethod
    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        """The requests; every item is in exactly one."""

    @abstractmethod
    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """One answer per item, in order."""

    def reask(self, question: Question, replies: Sequence[Reply]) -> Request | None:
        """The next request about the same items after at least one reply, or None to accept the last reply."""
        return None
