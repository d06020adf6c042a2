"""The interface of scorers, which choose windows, make requests and read replies, but send nothing.

Windows are chosen apart from explanations, so controls are judged on the same windows. A factory `(ScorerConfig,
ScoreConfig) -> Scorer` is a row of `builtin_plugins.SCORERS` or an entry point `autointerp.scorers`.
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

Measure = Literal[
    "windows",  # yes or no about a window (F1)
    "marks",  # yes or no about its marks (F1)
    "strata",  # yes or no about windows of every bin of the activation range (mean recall)
    "tokens",  # yes or no about vocabulary entries (F1)
    "firings",  # a prediction per token, 0.5 or more is yes (F1 over tokens)
    "activations",  # a number per token (correlation)
    "ranks",  # a probability per window (AUROC)
    "points",  # per criterion, the share of its points as the probability (share of all points)
    "choices",  # `fires` is the right option of a trial, or of two options, the one true if `is_firing` (accuracy)
]
"""The subject of a verdict, which decides the heading metric."""


About = Literal["firing", "output"]
"""The topic of an explanation or question: where the feature fires, or its effect on the output."""


class Scale(NamedTuple):
    """How verdicts are read."""

    measure: Measure = "windows"
    chance: float | None = None  # of `choices`: the accuracy of guessing
    needs_explanation: bool = True
    heading: str | None = None  # the heading metric, if not that of the measure


class Item(NamedTuple):
    """A window to judge; its truth `is_firing` and its `kind` never enter a request."""

    window: Window
    kind: Kind
    is_firing: bool
    id: str | None = None  # for items that share a window
    shown: tuple[Window, ...] | tuple[PinnedEffect, ...] = ()  # what a trial shows, in order
    places: tuple[int, ...] = ()  # from 0: the right option, or the pair of windows
    tokens: tuple[str, ...] = ()  # what is shown of the feature's effect on the output
    share: float | None = None  # of all firing windows that this one stands for, if known

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
    """An answer about one item."""

    answer: Answer
    probability: float | None = None  # of firing
    predictions: tuple[float, ...] | None = None  # activation per token


class Scorer(ABC):
    """A way to ask whether an explanation predicts a feature; a subclass chooses windows, words and how replies are
    read."""

    about: ClassVar[About] = "firing"
    # The capability that a judge must have.
    needed: ClassVar[Literal["has_similarities", "has_likelihoods"] | None] = None
    scale: Scale = Scale()

    def __init__(self, settings: ScorerConfig, score: ScoreConfig) -> None:
        """`settings` is an entry of score.scorers, `score` the whole section."""
        self._settings, self._score = settings, score

    @property
    def name(self) -> str:
        """The label of its settings, or its own name."""
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

        `others` are the dictionary's fixed other features.
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
