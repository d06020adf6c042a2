"""The seam of scorers: WHAT is asked so that an explanation can be held against the truth. One small file each.

A scorer chooses windows, turns them and an explanation into requests, and replies into answers; it sends nothing.
Windows are chosen before and apart from the explanation, so a feature's own explanation and a control's are judged on
the same windows in the same batches. Its factory `(ScorerConfig, ScoreConfig) -> Scorer` is a row of
`builtin_plugins.SCORERS` or an entry point `autointerp.scorers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.protocol import Reply, Request
from autointerp.records.evidence import Evidence, PinnedEffect
from autointerp.records.verdict import Answer, Reason
from autointerp.records.window import Kind, Window

__all__ = ["About", "AnswerRead", "Item", "Measure", "Question", "Scale", "Scorer", "Unscorable"]

Measure = Literal["windows", "marks", "strata", "tokens", "firings", "activations", "ranks", "choices"]
"""What verdicts are about, and so which metric heads the board.

`windows`, `marks`: yes or no about a whole window, or about what is marked in it (F1). `strata`: yes or no about
windows of every bin of the activation range, and silent ones (mean recall over bins). `tokens`: yes or no about entries
of the vocabulary (F1). `firings`: yes or no about every token of a window, a prediction from one half on being a yes
(F1 over tokens). `activations`: a number for every token of a window (correlation). `ranks`: a
probability per window that orders them and has no threshold (AUROC). `choices`: the item is a trial in which one of
several options is right, and an answer `fires` is a right choice; or one of two, and `fires` is the one that is true
where `is_firing` (accuracy against `chance`).
"""


About = Literal["firing", "output"]
"""What is said or asked of a feature: where it fires, or what it does to the output."""


class Scale(NamedTuple):
    """How a scorer's verdicts are read. `chance` is what guessing reaches in the heading metric where the verdicts do
    not tell it (choices: one in so many); a scorer that needs no explanation scores features without one. `heading` is
    the heading metric where it is not that of the measure."""

    measure: Measure = "windows"
    chance: float | None = None
    needs_explanation: bool = True
    heading: str | None = None


class Item(NamedTuple):
    """A window to be judged. `is_firing` is the truth and `kind` what it is here; neither leaves the scorer.

    Where one window serves several items (a trial of several windows, an entry of the vocabulary in a window of its
    own) each has an `id`.

    Of a trial, `shown` is all that the judge is shown, in order, and `places` what of it the item is about, from 0: the
    right option, or a pair of windows.

    `share` is the share of all firing windows that a firing one stands for, where the sampler knows it.
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
        """What its verdict is stored under: unique among the items of a feature under one scorer."""
        return self.window.id if self.id is None else self.id


@dataclass(frozen=True, slots=True)
class Unscorable:
    """Why a feature cannot be scored."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Question:
    """One request and the items it asks about, in order."""

    request: Request
    items: tuple[Item, ...]


class AnswerRead(NamedTuple):
    """One answer about one item, with the judge's probability of firing and its predictions of the activation, one per
    token, where they are known."""

    answer: Answer
    probability: float | None = None
    predictions: tuple[float, ...] | None = None


class Scorer(ABC):
    """A way to ask whether an explanation predicts a feature. A subclass says which windows it asks about, in which
    words, and how a reply is read.

    `scale` is how its verdicts are read, as a yes or no about whole windows where a subclass says nothing. `about` is
    what it asks about, and so what an explanation has to tell. `needed` is what of its `Capabilities` a judge has to
    state, where only some judges can answer.
    """

    about: ClassVar[About] = "firing"
    needed: ClassVar[Literal["has_similarities", "has_likelihoods"] | None] = None
    scale: Scale = Scale()

    def __init__(self, settings: ScorerConfig, score: ScoreConfig) -> None:
        """`settings` is an entry of score.scorers, `score` the whole section."""
        self._settings, self._score = settings, score

    @property
    def name(self) -> str:
        """What its results are called: the label of its settings, or its own name."""
        return self._settings.label or self._settings.name

    @property
    @abstractmethod
    def prompt_hash(self) -> str:
        """Hash of the prompt file, stored with every verdict."""

    @abstractmethod
    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """The windows to judge, of the role `score` only, in the order they are asked; drawn from `rng` alone.

        `others` are the dictionary's fixed other features, for negatives taken from one of them.
        """

    @abstractmethod
    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        """The requests that ask about `items`, each item exactly once."""

    @abstractmethod
    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """One answer per item of the question, in order."""

    def reask(self, question: Question, replies: Sequence[Reply]) -> Request | None:
        """The request that follows the replies to a question so far, at least one, or None when the last of them is
        taken as it is. It asks about the same items in the same order, and `read` reads its reply.
        """
        return None
