"""Counts of right, wrong and lost answers, the basis of all metrics.

Lost answers (unparsed, refused, error) always count: `strict` reads them as wrong, `lenient` leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple

from autointerp.records.verdict import Verdict
from autointerp.records.window import Kind

__all__ = ["Confusion", "ConfusionKey", "Table", "confusion_of", "tabulate"]


class Table(NamedTuple):
    """Windows by truth and answer."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def n_positive(self) -> int:
        return self.true_positive + self.false_negative

    @property
    def n_negative(self) -> int:
        return self.false_positive + self.true_negative


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of verdicts; lost ones appear by truth (`lost_positive + lost_negative`) and by cause (`unparsed + refused
    + error`), with equal sums.
    """

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0
    lost_positive: int = 0
    lost_negative: int = 0
    unparsed: int = 0
    refused: int = 0
    error: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(*(getattr(self, name) + getattr(other, name) for name in _COUNTS))

    @property
    def n_positive(self) -> int:
        """Firing windows, lost answers included."""
        return self.true_positive + self.false_negative + self.lost_positive

    @property
    def n_negative(self) -> int:
        """Silent windows, lost answers included."""
        return self.false_positive + self.true_negative + self.lost_negative

    @property
    def n_lost(self) -> int:
        return self.lost_positive + self.lost_negative

    @property
    def n(self) -> int:
        return self.n_positive + self.n_negative

    def strict(self) -> Table:
        """Lost answers are wrong."""
        return Table(
            true_positive=self.true_positive,
            false_positive=self.false_positive + self.lost_negative,
            false_negative=self.false_negative + self.lost_positive,
            true_negative=self.true_negative,
        )

    def lenient(self) -> Table:
        """Lost answers are left out."""
        return Table(self.true_positive, self.false_positive, self.false_negative, self.true_negative)


_COUNTS = tuple(field.name for field in fields(Confusion))


class ConfusionKey(NamedTuple):
    """Subject of one row of counts."""

    dictionary: str
    feature: int
    explainer: str
    scorer: str
    judge: str
    control: str | None
    kind: Kind


def confusion_of(verdicts: Iterable[Verdict]) -> Confusion:
    counts = dict.fromkeys(_COUNTS, 0)
    for verdict in verdicts:
        for name in _cells(verdict):
            counts[name] += 1
    return Confusion(**counts)


def tabulate(verdicts: Iterable[Verdict]) -> dict[ConfusionKey, Confusion]:
    """Counts per key, sorted."""
    groups: dict[ConfusionKey, list[Verdict]] = {}
    for v in verdicts:
        key = ConfusionKey(v.dictionary, v.feature, v.explainer, v.scorer, v.judge, v.control, v.kind)
        groups.setdefault(key, []).append(v)
    # None sorts before any name: the feature's own explanation comes before its controls.
    order = sorted(groups, key=lambda key: tuple("" if part is None else part for part in key))
    return {key: confusion_of(groups[key]) for key in order}


def _cells(verdict: Verdict) -> tuple[str, ...]:
    if verdict.answer == "fires":
        return ("true_positive" if verdict.is_firing else "false_positive",)
    if verdict.answer == "silent":
        return ("false_negative" if verdict.is_firing else "true_negative",)
    return ("lost_positive" if verdict.is_firing else "lost_negative", verdict.answer)
