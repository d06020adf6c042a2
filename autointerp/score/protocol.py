"""The seam of scorers: WHAT is asked so that an explanation can be held against the truth. One small file each.

A scorer is found by the entry point `autointerp.scorers`, a factory `(ScorerConfig, ScoreConfig) -> Scorer`. It
chooses windows, turns them and an explanation into requests, and replies into answers; it does not send anything and
knows no judge. Windows are chosen before and apart from the explanation, so a feature's own explanation and a
control's are judged on the same windows in the same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from autointerp.judges.protocol import Reply, Request
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Answer, Reason
from autointerp.records.window import Kind, Window

__all__ = ["AnswerRead", "Item", "Question", "Scorer", "Unscorable"]


class Item(NamedTuple):
    """A window to be judged. `is_firing` is the truth and `kind` what it is here; neither leaves the scorer."""

    window: Window
    kind: Kind
    is_firing: bool


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
    """One answer about one item, with the judge's probability of firing where it is known."""

    answer: Answer
    probability: float | None = None


@runtime_checkable
class Scorer(Protocol):
    """A way of asking whether an explanation predicts a feature."""

    @property
    def name(self) -> str: ...

    @property
    def prompt_hash(self) -> str:
        """Hash of the prompt file, stored with every verdict."""
        ...

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """The windows to judge, of the role `score` only, in the order they are asked; drawn from `rng` alone.

        `others` are the dictionary's fixed other features, for negatives taken from one of them.
        """
        ...

    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        """The requests that ask about `items`, each item exactly once."""
        ...

    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """One answer per item of the question, in order."""
        ...
