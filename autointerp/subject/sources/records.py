"""Rows out of JSON, JSON lines, CSV and parquet, each what `sources.rows` reads.

Takes an open file; lines and row groups are read one after another.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from autointerp.errors import InputError
from autointerp.subject.sources.rows import Content, content_of_row, content_of_value, field_of
from autointerp.subject.sources.streams import TextStream, too_large
from autointerp.subject.sources.text import decode_text

__all__ = ["iter_csv_rows", "iter_json_rows", "iter_jsonl_rows", "iter_parquet_rows"]

PARQUET_ROWS = 64
"""Rows decoded at a time: values that repeat are stored once, so a small file may hold very large rows."""


def iter_json_rows(file: TextStream, *, text_field: str) -> Iterator[Content]:
    """The items of a JSON list; one object counts as a list of one."""
    rows = _parsed(decode_text(file.whole(), place=file.place), place=file.place)
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list):
        raise InputError(
            f"corpus.path: {file.place} holds a single {type(rows).__name__}; give a list of strings or of objects "
            f"with a '{text_field}' field"
        )
    for number, row in enumerate(rows):
        yield content_of_row(row, place=f"{file.place}, item {number}", text_field=text_field)


def iter_jsonl_rows(file: TextStream, *, text_field: str) -> Iterator[Content]:
    """JSON lines; blank lines are passed over."""
    for number, line in file.lines():
        if line.strip():
            place = f"{file.place}, line {number}"
            yield content_of_row(_parsed(line, place=place, is_line=True), place=place, text_field=text_field)


def iter_csv_rows(file: TextStream, *, text_field: str) -> Iterator[Content]:
    """The rows of a table whose first line names its columns; a field in quotes may hold line ends."""
    csv.field_size_limit(file.max_bytes)
    rows = csv.reader((line for _, line in file.lines()), strict=True)
    try:
        names = next(rows, [])
        if not names:
            return
        column = names.index(field_of(names, place=file.place, text_field=text_field))
        for row in rows:
            if not row:
                continue
            if len(row) != len(names):
                raise InputError(
                    f"corpus.path: {file.place}, line {rows.line_num} ends a row of {len(row)} fields, but the first "
                    f"line names {len(names)}; put texts with commas or line ends in quotes"
                )
            yield Content(row[column])
    except csv.Error as error:
        raise InputError(
            f"corpus.path: {file.place}, line {rows.line_num} is no valid CSV ({error}); mend it"
        ) from error


def iter_parquet_rows(file: TextStream, *, text_field: str) -> Iterator[Content]:
    """The rows of a parquet file's `text_field` column."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        # parquet jumps about in its file, which what is unpacked can only do slowly or not at all
        is_plain = isinstance(file.stream, io.BufferedReader) and file.stream.seekable()
        source = file.stream if is_plain else io.BytesIO(file.whole())
        table = parquet.ParquetFile(source, page_checksum_verification=True)
        column = field_of(table.schema_arrow.names, place=file.place, text_field=text_field)
        row_number = 0
        for batch in table.iter_batches(columns=[column], batch_size=PARQUET_ROWS):
            if batch.nbytes > file.max_bytes:
                raise too_large(f"{file.place}, from row {row_number} on,", file.max_mb)
            for value in batch.column(0).to_pylist():
                yield content_of_value(value, place=f"{file.place}, row {row_number}", field=column)
                row_number += 1
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"corpus.path: {file.place} is no readable parquet file ({reason}); copy it again") from error


def _parsed(text: str, *, place: str, is_line: bool = False) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{error.msg} at column {error.colno}" if is_line else error.msg
        line = "" if is_line else f" at line {error.lineno}, column {error.colno}"
        fix = "name it .jsonl if it holds JSON lines" if error.msg == "Extra data" and not is_line else "mend it"
        raise InputError(f"corpus.path: {place} is no valid JSON{line} ({where}); {fix}") from error
    except RecursionError as error:
        raise InputError(f"corpus.path: {place} is nested too deeply; give a flat list of texts") from error
    except ValueError as error:
        raise InputError(f"corpus.path: {place} holds a number that cannot be read ({error}); mend it") from error
