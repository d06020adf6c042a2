"""The parts of a synthetic study.

Cells are independent and kept as they finish, so a killed study resumes; figure and document come from rows alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from synthetic_studies.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Cell", "OnFraction", "Row", "Study", "StudySettings", "Table", "select"]

Row = dict[str, Any]
"""One table line: column -> text, number, truth value or None."""

OnFraction = Callable[[float], None]
"""Called with the share of a cell done, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Settings of every study; a study's own defaults are the preset `full`."""

    n_seeds: int = 5
    """Initialisations, or problems, per cell."""
    n_samples: int = 1024
    """Training samples per problem, and as many held-out ones."""


@dataclass(frozen=True)
class Cell:
    """One piece of a study. key: unique in the study; cost: expected time relative to other cells."""

    key: str
    arguments: dict[str, Any]
    cost: float = 1.0


@dataclass(frozen=True)
class Table:
    """A table of the document."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


class Study(ABC):
    """One study; subclasses are stateless, each module's instance is STUDY."""

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    """Question and method, in a few sentences of Markdown."""
    full: ClassVar[StudySettings]
    quick: ClassVar[StudySettings]

    @abstractmethod
    def cells(self, settings: Any) -> list[Cell]:
        """The pieces of work, cheap ones first."""

    @abstractmethod
    def run(self, cell: Cell, settings: Any, on_fraction: OnFraction) -> list[Row]:
        """Measure one cell, deterministically."""

    @abstractmethod
    def figure(self, rows: Sequence[Row], settings: Any) -> Figure:
        """The figure of all rows."""

    def comparisons(self, rows: Sequence[Row], settings: Any) -> list[Comparison]:
        """Our values beside published ones."""
        return []

    def tables(self, rows: Sequence[Row], settings: Any) -> list[Table]:
        """Further tables of the document."""
        return []

    def notes(self, rows: Sequence[Row], settings: Any) -> list[str]:
        """Findings, each a paragraph of Markdown; their numbers come from the rows."""
        return []


def select(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    """The rows in which every named column has the wanted value."""
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]
