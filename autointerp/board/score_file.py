"""`scores.parquet`: the table of scores on disk, equal bytes for equal scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from autointerp.board.score_row import SCORE_SCHEMA
from autointerp.errors import ArtefactError
from autointerp.runs.layout import write_atomically

__all__ = ["SCORES_SCHEMA_VERSION", "read_scores", "write_scores"]

SCORES_SCHEMA_VERSION = 2
_VERSION_KEY = b"autointerp.schema_version"
_KEY = ("dictionary", "feature", "explainer", "scorer", "judge", "prompt_hash")
_FIX = "delete it and run the report stage again (`autointerp report RUN`)"


def write_scores(path: Path, scores: pd.DataFrame) -> None:
    """Write the table atomically. Raises ArtefactError if that fails."""
    table = pa.Table.from_pandas(scores, schema=SCORE_SCHEMA, preserve_index=False)
    table = table.replace_schema_metadata({_VERSION_KEY: str(SCORES_SCHEMA_VERSION).encode()})
    write_atomically(
        path, lambda temporary: pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
    )


def read_scores(path: Path) -> pd.DataFrame:
    """The table. Raises ArtefactError if missing, damaged or of another schema version."""
    if not path.is_file():
        raise ArtefactError(f"{path} does not exist; run the report stage of this run first (`autointerp report RUN`)")
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtefactError(f"{path} is damaged ({reason}); {_FIX}") from None
    version = (table.schema.metadata or {}).get(_VERSION_KEY, b"none").decode(errors="replace")
    if version != str(SCORES_SCHEMA_VERSION):
        raise ArtefactError(f"{path} has schema version {version}, this release reads {SCORES_SCHEMA_VERSION}; {_FIX}")
    fault = _fault(table)
    if fault is not None:
        raise ArtefactError(f"{path} is damaged: {fault}; {_FIX}")
    return table.to_pandas()


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
