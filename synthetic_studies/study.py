"""What a synthetic study is: settings, cells that are measured one at a time, and what is read off their rows.

A study is one subclass. Its cells are independent and each yields flat rows, which the runner keeps as they come, so
that a killed study goes on; figure and document are drawn from rows alone. Knows nothing of files or the command line.
Torch-free.
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
"""One line of a study's table: column -> text, number, truth value or None."""

OnFraction = Callable[[float], None]
"""Told how much of a cell is done, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What every study can be told. The defaults of each study's own class are the preset `full`."""

    n_seeds: int = 5
    """Initialisations, or problems, per cell."""
    n_samples: int = 1024
    """Training samples per problem; as many are held out."""


@dataclass(frozen=True)
class Cell:
    """One piece of a study. key: unique among the study's cells; cost: expected time relative to the other cells."""

    key: str
    arguments: dict[str, Any]
    cost: float = 1.0


@dataclass(frozen=True)
class Table:
    """A table of the document: a title, the columns' heads and rows of texts."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


class Study(ABC):
    """One study; subclasses are stateless, and the module's one instance is called STUDY."""

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    """What is asked, and how, in a few sentences of Markdown."""
    full: ClassVar[StudySettings]
    quick: ClassVar[StudySettings]

    @abstractmethod
    def cells(self, settings: Any) -> list[Cell]:
        """The pieces of work, cheap ones first where the order does not matter."""

    @abstractmethod
    def run(self, cell: Cell, settings: Any, on_fraction: OnFraction) -> list[Row]:
        """Measure one cell. Deterministic in the cell and the settings."""

    @abstractmethod
    def figure(self, rows: Sequence[Row], settings: Any) -> Figure:
        """The study's figure."""

    def comparisons(self, rows: Sequence[Row], settings: Any) -> list[Comparison]:
        """Ours beside published values, where there are any."""
        return []

    def tables(self, rows: Sequence[Row], settings: Any) -> list[Table]:
        """Further tables of the document."""
        return []

    def notes(self, rows: Sequence[Row], settings: Any) -> list[str]:
        """Findings and explanations, each one paragraph of Markdown; numbers in them come from the rows."""
        return []


def select(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    """The rows in which every named column has the wanted value."""
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]
