"""All that a run recorded about one feature, feature by feature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Generic, NamedTuple, TypeVar

from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Explanation, Unscored, Verdict

__all__ = ["Ahead", "FeatureRecords", "Key", "by_feature", "iter_records"]

T = TypeVar("T")
R = TypeVar("R", Evidence, Explanation, Verdict, Unscored)

Key = tuple[str, int]
"""Dictionary and feature."""


class FeatureRecords(NamedTuple):
    evidence: Evidence
    explanations: tuple[Explanation, ...]
    verdicts: tuple[Verdict, ...]
    unscored: tuple[Unscored, ...] = ()


def iter_records(
    evidences: Iterable[Evidence],
    explanations: Iterable[Explanation],
    verdicts: Iterable[Verdict],
    unscored: Iterable[Unscored] = (),
) -> Iterator[FeatureRecords]:
    """Each feature with its records; one feature's are held at a time.

    All are sorted by dictionary and feature; records of a feature without evidence are left out.
    """
    told, said, why = Ahead(explanations, _key), Ahead(verdicts, _key), Ahead(unscored, _key)
    for evidence in evidences:
        key = _key(evidence)
        yield FeatureRecords(evidence, told.take(key), said.take(key), why.take(key))


def by_feature(records: Iterable[R]) -> list[R]:
    """Records in any order, sorted."""
    return sorted(records, key=_key)


def _key(record: Evidence | Explanation | Verdict | Unscored) -> Key:
    return record.dictionary, record.feature


class Ahead(Generic[T]):
    """Sorted records, read up to the feature after the one that is asked for."""

    def __init__(self, records: Iterable[T], key: Callable[[T], Key]) -> None:
        self._groups = groupby(records, key=key)
        self._advance()

    def take(self, key: Key) -> tuple[T, ...]:
        """Those of a feature; keys ascend from call to call."""
        while self._key is not None and self._key < key:
            self._advance()
        return self._records if self._key == key else ()

    def _advance(self) -> None:
        self._key, records = next(self._groups, (None, ()))
        self._records = tuple(records)
