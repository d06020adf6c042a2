"""Texts out of JSON, JSON lines and parquet: rows that are strings, or objects with a text field.

Takes an open file; lines and row groups are read one after another.
Does not know paths beyond the place named in an error.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from zipfile import ZipExtFile

from autointerp.errors import InputError
from autointerp.subject.sources.text import decode_text, mend_surrogates

__all__ = ["iter_json_texts", "iter_jsonl_texts", "iter_parquet_texts", "text_of_row"]


def iter_json_texts(stream: io.BufferedIOBase, *, place: str, text_field: str) -> Iterator[str]:
    """The texts of a JSON list of strings, or of objects with `text_field`; one object counts as a list of one."""
    try:
        rows = json.loads(decode_text(stream.read(), place=place))
    except json.JSONDecodeError as error:
        raise InputError(
            f"corpus.path: {place} is no valid JSON at line {error.lineno}, column {error.colno} ({error.msg}); mend it"
        ) from error
    except RecursionError as error:
        raise InputError(f"corpus.path: {place} is nested too deeply; give a flat list of texts") from error
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list):
        raise InputError(
            f"corpus.path: {place} holds a single {type(rows).__name__}; give a list of strings or of objects with "
            f"a '{text_field}' field"
        )
    for number, row in enumerate(rows):
        yield text_of_row(row, place=f"{place}, item {number}", text_field=text_field)


def iter_jsonl_texts(stream: io.BufferedIOBase, *, place: str, text_field: str) -> Iterator[str]:
    """The texts of JSON lines, each a string or an object with `text_field`; blank lines are passed over."""
    for number, raw in enumerate(stream, start=1):
        line = decode_text(raw, place=f"{place}, line {number}")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"corpus.path: {place}, line {number} is no valid JSON ({error.msg} at column {error.colno}); mend it"
            ) from error
        yield text_of_row(row, place=f"{place}, line {number}", text_field=text_field)


def iter_parquet_texts(stream: io.BufferedIOBase, *, place: str, text_field: str) -> Iterator[str]:
    """The texts of a parquet file's `text_field` column; a null counts as an empty text."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        # parquet jumps about in its file, which a compressed zip member can only do slowly
        table = parquet.ParquetFile(io.BytesIO(stream.read()) if isinstance(stream, ZipExtFile) else stream)
        names = table.schema_arrow.names
        if text_field not in names:
            raise InputError(_no_field(place, text_field, names))
        row_number = 0
        for batch in table.iter_batches(columns=[text_field], batch_size=1024):
            for value in batch.column(0).to_pylist():
                yield text_of_row({text_field: value}, place=f"{place}, row {row_number}", text_field=text_field)
                row_number += 1
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"corpus.path: {place} is no readable parquet file ({reason}); copy it again") from error


def text_of_row(row: Any, *, place: str, text_field: str) -> str:
    """The text of one row: the row itself if a string, else its `text_field`; null is an empty text."""
    if isinstance(row, dict):
        if text_field not in row:
            raise InputError(_no_field(place, text_field, list(row)))
        row = row[text_field]
    if row is None:
        return ""
    if not isinstance(row, str):
        raise InputError(
            f"corpus.text_field = '{text_field}': {place} holds {type(row).__name__}, not text; name a field of text"
        )
    return mend_surrogates(row)


def _no_field(place: str, text_field: str, present: list[str]) -> str:
    fields = ", ".join(f"'{name}'" for name in present) or "none"
    return f"corpus.text_field = '{text_field}' is not in {place}; its fields: {fields}"
