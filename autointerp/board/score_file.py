"""`scores.parquet`: the table of scores on disk, equal bytes for equal scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from autointerp.board.score_row import SCORE_SCHEMA
from autointerp.board.score_table import ScoreTable
from autointerp.errors import ArtefactError
from autointerp.runs.layout import write_atomically

__all__ = ["SCORES_SCHEMA_VERSION", "open_scores", "read_scores", "write_scores"]

SCORES_SCHEMA_VERSION = 2
_VERSION_KEY = b"autointerp.schema_version"
_KEY = ("dictionary", "feature", "explainer", "scorer", "judge", "prompt_hash")
_ROWS_PER_GROUP = 8192
_FIX = "delete it and run the report stage again (`autointerp report RUN`)"


def write_scores(path: Path, scores: pd.DataFrame | Iterable[Mapping[str, Any]]) -> None:
    """Write the table atomically, a group of rows at a time. Raises ArtefactError if that fails."""
    schema = SCORE_SCHEMA.with_metadata({_VERSION_KEY: str(SCORES_SCHEMA_VERSION).encode()})

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer:
            for table in _tables(scores):
                writer.write_table(table.cast(schema), row_group_size=_ROWS_PER_GROUP)

    write_atomically(path, write)


def _tables(scores: pd.DataFrame | Iterable[Mapping[str, Any]]) -> Iterator[pa.Table]:
    """At least one, which may be empty."""
    if isinstance(scores, pd.DataFrame):
        yield pa.Table.from_pandas(scores, schema=SCORE_SCHEMA, preserve_index=False)
        return
    rows, is_first = iter(scores), True
    while (group := list(islice(rows, _ROWS_PER_GROUP))) or is_first:
        is_first = False
        # what is not a number is null, as pandas has it
        columns = [pa.array([row[f.name] for row in group], f.type, from_pandas=True) for f in SCORE_SCHEMA]
        yield pa.Table.from_arrays(columns, schema=SCORE_SCHEMA)


def open_scores(path: Path) -> ScoreTable:
    """The table, to be read in parts. Raises ArtefactError if missing, damaged at its ends or of another version."""
    _require_version(path, lambda: pq.read_schema(path))
    return ScoreTable(ds.dataset(path, format="parquet"))


def read_scores(path: Path) -> pd.DataFrame:
    """The whole table. Raises ArtefactError if missing, damaged or of another schema version."""

    def read() -> pa.Table:
        table = pq.read_table(path, page_checksum_verification=True)
        table.validate(full=True)
        return table

    table = _require_version(path, read)
    fault = _fault(table)
    if fault is not None:
        raise ArtefactError(f"{path} is damaged: {fault}; {_FIX}")
    return table.to_pandas()


T = TypeVar("T", pa.Table, pa.Schema)


def _require_version(path: Path, read: Callable[[], T]) -> T:
    """What was read."""
    if not path.is_file():
        raise ArtefactError(f"{path} does not exist; run the report stage of this run first (`autointerp report RUN`)")
    try:
        found = read()
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtefactError(f"{path} is damaged ({reason}); {_FIX}") from None
    schema = found if isinstance(found, pa.Schema) else found.schema
    version = (schema.metadata or {}).get(_VERSION_KEY, b"none").decode(errors="replace")
    if version != str(SCORES_SCHEMA_VERSION):
        raise ArtefactError(f"{path} has schema version {version}, this release reads {SCORES_SCHEMA_VERSION}; {_FIX}")
    return found


def _fault(table: pa.Table) -> str | None:
    """The first content no report writes, in words, or None."""
    for field in table.schema:
        place = SCORE_SCHEMA.get_field_index(field.name)
        if place >= 0 and field.type != SCORE_SCHEMA.field(place).type:
            return f"column '{field.name}' has the type {field.type}"
        column = table.column(field.name)
        values = column.drop_null().to_numpy()
        if pa.types.is_floating(field.type) and not np.isfinite(values).all():
            return f"column '{field.name}' holds a number that is not finite"
        if pa.types.is_integer(field.type) and (values < 0).any():
            return f"column '{field.name}' holds a number below 0"
    for name in _KEY:
        if name not in table.schema.names or table.column(name).null_count:
            return f"column '{name}' is missing or has empty rows"
    if table.group_by(list(_KEY)).aggregate([]).num_rows < table.num_rows:
        return "a feature has two rows under one explainer and scorer"
    return None
