"""Typed questions to a judge, without labels, activations, kinds or documents, which never leave the scorer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = [
    "EXPLANATION",
    "HIGHEST",
    "LABELS",
    "Criterion",
    "ExplainTask",
    "GroupTask",
    "IntruderTask",
    "LikelihoodTask",
    "Passage",
    "PickEffectTask",
    "RateTask",
    "ScoreTask",
    "ShownEffect",
    "ShownWindow",
    "SimilarityTask",
    "SimulateTask",
    "Task",
    "TokenCount",
]

LABELS = ("0", "1")
"""Spelling of silent and firing in a reply."""

EXPLANATION = "[EXPLANATION]:"
"""Begins the line of a reply that explains."""

HIGHEST = 10
"""Strongest simulated activation (Bills et al. 2023)."""


@dataclass(frozen=True, slots=True)
class ShownWindow:
    """Tokens, which join to the window, and one activation each."""

    tokens: tuple[str, ...]
    activations: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Firing and all occurrences of a token in the text to explain from."""

    token: str
    n_firing: int
    n_tokens: int


@dataclass(frozen=True, slots=True)
class ExplainTask:
    """Explain a feature from windows and promoted tokens.

    `raised` and `lowered` become more and less likely with the feature pinned high. `counts`, most firings first, and
    `background`, random silent windows, are for judges that calculate; prompts need not hold them. What is not shown
    is empty.
    """

    windows: tuple[ShownWindow, ...]
    silent_windows: tuple[ShownWindow, ...]
    top_logits: tuple[str, ...]
    bottom_logits: tuple[str, ...]
    raised: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()
    counts: tuple[TokenCount, ...] = ()
    background: tuple[ShownWindow, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """Text to judge, as a whole, at the span `mark`, or at all spans of `marks`. `starts`: where its tokens begin, in
    characters, if known.
    """

    text: str
    mark: tuple[int, int] | None = None
    marks: tuple[tuple[int, int], ...] = ()
    starts: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """Say for each passage whether the explained feature fires there (1) or not (0).

    If it asks what the feature `promotes`, passages are vocabulary entries. Reply: a JSON list of 0 and 1, in order.
    """

    explanation: str
    passages: tuple[Passage, ...]
    asks: Literal["fires", "promotes"] = "fires"


@dataclass(frozen=True, slots=True)
class SimulateTask:
    """Say how strongly the explained feature fires on each mark, 0 to `HIGHEST`. Reply: a JSON list of numbers, in
    order.
    """

    explanation: str
    text: str
    marks: tuple[tuple[int, int], ...]

    def as_marks(self) -> ScoreTask:
        return ScoreTask(self.explanation, tuple(Passage(self.text, mark) for mark in self.marks))


@dataclass(frozen=True, slots=True)
class IntruderTask:
    """Find the passage in which an unnamed feature does not fire. Reply: its number, from 1: `{"answer": 3}`."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class GroupTask:
    """Sort passages by which of two unnamed features fires. Reply: a JSON list of 0 and 1 (interchangeable), in
    order.
    """

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class ShownEffect:
    """Tokens a model says more and less with a feature held high, most changed first."""

    raised: tuple[str, ...]
    lowered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PickEffectTask:
    """Find the effect of holding the explained feature high. Reply as of `IntruderTask`."""

    explanation: str
    effects: tuple[ShownEffect, ...]


@dataclass(frozen=True, slots=True)
class SimilarityTask:
    """Compare each passage with the explanation.

    Reply: a JSON list of cosines, in order; `Reply.probabilities` are (1 + cosine) / 2.
    """

    explanation: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class LikelihoodTask:
    """Say how much likelier the explanation makes each passage.

    Reply: a JSON list in nats per token, in order; `Reply.probabilities` are their logistic values.
    """

    explanation: str
    passages: tuple[Passage, ...]


class Criterion(NamedTuple):
    """A question that is answered by points from 0 to `most`."""

    question: str
    most: int


@dataclass(frozen=True, slots=True)
class RateTask:
    """Give points to an explanation beside passages in which the feature fires, strongest first.

    Marks are the firing tokens, `strengths` the passages' strongest ones (1 to `HIGHEST`), `promoted` the tokens it
    makes likelier, if known. Reply: `{"points": [3, ...]}`, one whole number per criterion, in order.
    """

    explanation: str
    passages: tuple[Passage, ...]
    strengths: tuple[int, ...]
    promoted: tuple[str, ...]
    criteria: tuple[Criterion, ...]


Task = (
    ExplainTask
    | ScoreTask
    | SimulateTask
    | IntruderTask
    | GroupTask
    | PickEffectTask
    | SimilarityTask
    | LikelihoodTask
    | RateTask
)
