"""Evidence of a whole run as a sequence that reads a feature when it is asked for, so that its size is the disk's."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Protocol, overload

import numpy as np

from autointerp.records.document import Role
from autointerp.records.evidence import ContextPredictability, Evidence
from autointerp.records.evidence_file import EvidenceFile, Outline
from autointerp.records.window import Kind

__all__ = ["EvidenceBook", "Outlined", "count_windows", "outlines_of", "some_of"]

_N_HELD = 4
"""Groups of rows that are held: the one being read, and those that neighbours in another order come from."""


class Outlined(Protocol):
    """An `Outline`, or the whole of its `Evidence`."""

    @property
    def dictionary(self) -> str: ...
    @property
    def feature(self) -> int: ...
    @property
    def density(self) -> float: ...
    @property
    def unscored(self) -> str | None: ...
    @property
    def context(self) -> ContextPredictability | None: ...


class EvidenceBook(Sequence[Evidence]):
    """The rows of several files, or some of them, in one order; going through it raises as `EvidenceFile` does."""

    def __init__(self, files: Iterable[EvidenceFile]) -> None:
        self._files = tuple(files)
        sizes = [size for file in self._files for size in np.diff(file.edges)]
        self._edges = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self._groups = [(file, number) for file in self._files for number in range(file.n_groups)]
        self._take([outline for file in self._files for outline in file.outlines], np.arange(self._edges[-1]))

    def _take(self, outlines: Sequence[Outline], places: np.ndarray) -> None:
        self.outlines, self._places = outlines, places
        self._sorted = np.sort(places)
        # a method of this object would be a cycle, which holds its groups until garbage is collected
        read = partial(_read_group, self._groups, self._edges, self._sorted)
        self._read = lru_cache(maxsize=_N_HELD)(read)

    def where(self, keep: Callable[[Outline], bool]) -> EvidenceBook:
        """The features that `keep` holds of."""
        return self._of([number for number, outline in enumerate(self.outlines) if keep(outline)])

    def by_feature(self) -> EvidenceBook:
        """By dictionary and feature."""
        outlines = self.outlines
        return self._of(sorted(range(len(self)), key=lambda n: (outlines[n].dictionary, outlines[n].feature)))

    def with_last(self, keys: Container[tuple[str, int]]) -> EvidenceBook:
        """The features of these dictionaries and numbers after all others."""
        outlines = self.outlines
        return self._of(sorted(range(len(self)), key=lambda n: (outlines[n].dictionary, outlines[n].feature) in keys))

    def _of(self, numbers: Sequence[int]) -> EvidenceBook:
        book = object.__new__(EvidenceBook)
        book._files, book._edges, book._groups = self._files, self._edges, self._groups
        book._take([self.outlines[number] for number in numbers], self._places[np.array(numbers, dtype=int)])
        return book

    def count_windows(self, role: Role, kind: Kind) -> list[int]:
        """Windows of a role and kind per feature."""
        counts, start = np.zeros(self._edges[-1], dtype=int), 0
        for file in self._files:
            end = start + len(file.outlines)
            if np.subtract(*np.searchsorted(self._sorted, (end, start))):  # a feature of this book
                counts[start:end] = file.count_windows(role, kind)
            start = end
        return counts[self._places].tolist()

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Evidence: ...
    @overload
    def __getitem__(self, index: slice) -> EvidenceBook: ...
    def __getitem__(self, index: int | slice) -> Evidence | EvidenceBook:
        if isinstance(index, slice):
            return self._of(range(len(self))[index])
        place = int(self._places[index])
        group = int(np.searchsorted(self._edges, place, side="right")) - 1
        return self._read(group)[place]

    def __iter__(self) -> Iterator[Evidence]:
        return (self[number] for number in range(len(self)))


def _read_group(
    groups: Sequence[tuple[EvidenceFile, int]], edges: np.ndarray, places: np.ndarray, group: int
) -> dict[int, Evidence]:
    """The rows of a group that stand at `places`, which ascend; no others are made into objects."""
    start, end = edges[group : group + 2]
    wanted = places[slice(*np.searchsorted(places, (start, end)))].tolist()
    file, number = groups[group]
    return dict(zip(wanted, file.read_group(number, [place - start for place in wanted]), strict=True))


def outlines_of(evidences: Sequence[Evidence]) -> Sequence[Outlined]:
    """In the same order, without reading windows where they are not in memory."""
    return evidences.outlines if isinstance(evidences, EvidenceBook) else evidences


def count_windows(evidences: Sequence[Evidence], role: Role, kind: Kind) -> Sequence[int]:
    """As `EvidenceBook.count_windows`."""
    if isinstance(evidences, EvidenceBook):
        return evidences.count_windows(role, kind)
    return [len(evidence.select(role, kind)) for evidence in evidences]


def some_of(evidences: Sequence[Evidence], keep: Callable[[Outlined], bool]) -> Sequence[Evidence]:
    """The features that `keep` holds of, in the same order."""
    if isinstance(evidences, EvidenceBook):
        return evidences.where(keep)
    return [evidence for evidence in evidences if keep(evidence)]
