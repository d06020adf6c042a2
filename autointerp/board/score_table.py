"""The table of scores, read in parts: a dictionary's rows column by column, or row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset as ds

from autointerp.board.score_row import SCORE_SCHEMA

__all__ = ["GROUP", "ScoreGroup", "ScoreRows", "ScoreTable", "iter_rows"]

GROUP = ("explainer", "scorer", "judge", "prompt_hash")
"""The columns of a `ScoreGroup`."""
_CHUNK_ROWS = 1000
pc: Any = pyarrow.compute  # whose functions are made when it is loaded


class ScoreGroup(NamedTuple):
    """Comparable rows: one explainer, scorer, prompt and judge."""

    explainer: str
    scorer: str
    judge: str
    prompt_hash: str


class ScoreRows:
    """Rows of the table as columns: `rows["f1"]` holds a value per row, None where it is undefined or where a table of
    an earlier version lacks the metric.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return self._table.num_rows

    def __getitem__(self, column: str) -> list[Any]:
        if column not in self._table.schema.names:
            return [None] * len(self)
        return self._table.column(column).to_pylist()

    def defined(self, column: str) -> list[Any]:
        return [value for value in self[column] if value is not None]

    def of(self, dictionary: str) -> ScoreRows:
        return ScoreRows(self._table.filter(pc.field("dictionary") == dictionary))


class ScoreTable:
    """A table on disk (`score_file.open_scores`) or in memory."""

    def __init__(self, source: ds.Dataset | pd.DataFrame) -> None:
        self._source = ds.dataset(_as_table(source)) if isinstance(source, pd.DataFrame) else source

    def distinct(self, *columns: str) -> pa.Table:
        """Each combination of values once."""
        return self._source.to_table(columns=[*columns]).group_by([*columns], use_threads=False).aggregate([])

    def groups(self) -> list[tuple[str, ScoreGroup]]:
        """Distinct (dictionary, group), sorted."""
        found = self.distinct("dictionary", *GROUP).to_pylist()
        return sorted((row["dictionary"], ScoreGroup(*(row[name] for name in GROUP))) for row in found)

    def rows(self, dictionaries: Collection[str], group: ScoreGroup) -> ScoreRows:
        """In the table's order, without the explanations."""
        wanted = pc.field("dictionary").isin(pa.array(dictionaries, pa.string()))
        for name, value in group._asdict().items():
            wanted &= pc.field(name) == value
        columns = [name for name in self._source.schema.names if name != "explanation"]
        return ScoreRows(self._source.to_table(columns=columns, filter=wanted))

    def values(self, measure: str) -> Iterator[tuple[str, ScoreGroup, float | None]]:
        """Dictionary, group and value of every row."""
        for batch in self._source.to_batches(columns=["dictionary", *GROUP, measure]):
            for dictionary, *group, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield dictionary, ScoreGroup(*group), value

    def find(self, dictionary: str, features: Collection[int] | None = None) -> Iterator[dict[str, Any]]:
        """A dictionary's rows as plain values, in the table's order."""
        wanted = pc.field("dictionary") == dictionary
        if features is not None:
            wanted &= pc.field("feature").isin(pa.array(features, pa.int64()))
        for batch in self._source.to_batches(filter=wanted):
            yield from _plain(pa.Table.from_batches([batch]))

    def frame(self, dictionary: str, feature: int) -> pd.DataFrame:
        """One feature's rows."""
        wanted = (pc.field("dictionary") == dictionary) & (pc.field("feature") == feature)
        return self._source.to_table(filter=wanted).to_pandas()


def iter_rows(scores: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows as plain values, None for NaN and for metrics that a table of an earlier version lacks."""
    return _plain(_as_table(scores))


def _plain(table: pa.Table) -> Iterator[dict[str, Any]]:
    for start in range(0, table.num_rows, _CHUNK_ROWS):
        for row in table.slice(start, _CHUNK_ROWS).to_pylist():
            yield {name: row.get(name) for name in SCORE_SCHEMA.names}


def _as_table(scores: pd.DataFrame) -> pa.Table:
    whole = scores.reindex(columns=SCORE_SCHEMA.names)
    return pa.Table.from_pandas(whole, schema=SCORE_SCHEMA, preserve_index=False)
