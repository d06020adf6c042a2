"""Digests of a journal's tables, independent of the order of writing, and of its replies up to a row.

A run merged of shards therefore has the digests of one process. Replies are only ever added.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from autointerp.runs.journal import open_reader

__all__ = ["ASKED", "ASKED_FOR", "TABLES", "count_rows", "digest_replies", "digest_table"]

TABLES = {
    "explanations": "dictionary, feature, explainer, judge, prompt_hash, text, failure",
    "verdicts": "dictionary, feature, explainer, scorer, judge, prompt_hash, control, window, kind, is_firing, answer, "
    "probability, predictions, share",
    "unscored": "dictionary, feature, explainer, scorer, reason, detail",
}
"""Columns in the digest; new columns belong here too."""

_REPLY = (
    "key, endpoint, model, request, text, finish, reply_model, token_logprobs, probabilities, input_tokens, "
    "output_tokens, cached_tokens, usd, latency_s, n_attempts, source, at"
)
ASKED = {
    "replies": _REPLY,
    "repeats": _REPLY,
    "failed_attempts": "key, attempt, error_class, message, latency_s, at, usd_at_most",
}
"""Tables with rows that are only ever added."""
ASKED_FOR = {
    "charges": "key, dictionary, explainer, scorer",
    "questions": "key, dictionary, feature, explainer, scorer, control, windows",
}
"""Tables that tell whom a reply is for."""
_CHUNK_ROWS = 1000


def digest_table(path: Path, table: str) -> dict[str, Any]:
    """`rows` by dictionary, and their `sha256`. Raises ArtefactError for an unreadable journal."""
    columns = TABLES[table]
    n_rows: Counter[str] = Counter()
    digest = hashlib.sha256()
    with open_reader(path) as reader:
        for rows in _chunks(reader.iter_rows(f"SELECT {columns} FROM {table} ORDER BY {_order(columns)}")):
            n_rows.update(str(row[0]) for row in rows)
            _add(digest, rows)
    return {"rows": dict(sorted(n_rows.items())), "sha256": digest.hexdigest()}


def count_rows(path: Path, table: str) -> int:
    """Raises ArtefactError for an unreadable journal."""
    with open_reader(path) as reader:
        return reader.read(f"SELECT count(*) FROM {table}")[0][0]


def digest_replies(path: Path, *, last: Mapping[str, int] | None = None) -> dict[str, Any]:
    """`sha256` of replies, failures and accounts up to the `last` row per table (default: all).

    Raises ArtefactError for an unreadable journal.
    """
    digest = hashlib.sha256()
    with open_reader(path) as reader:
        if last is None:
            last = {table: reader.read(f"SELECT coalesce(max(rowid), 0) FROM {table}")[0][0] for table in ASKED}
        for table, columns in ASKED.items():
            query = f"SELECT {columns} FROM {table} WHERE rowid <= ? ORDER BY rowid"
            for rows in _chunks(reader.iter_rows(query, (last[table],))):
                _add(digest, rows)
        for table, columns in ASKED_FOR.items():
            query = (
                f"SELECT {columns} FROM {table} WHERE key IN (SELECT key FROM replies WHERE rowid <= ?) "
                f"ORDER BY {_order(columns)}"
            )
            for rows in _chunks(reader.iter_rows(query, (last["replies"],))):
                _add(digest, rows)
    return {"last": dict(last), "sha256": digest.hexdigest()}


def _order(columns: str) -> str:
    """ORDER BY clause of all columns."""
    return ", ".join(str(place) for place in range(1, columns.count(",") + 2))


def _chunks(rows: Iterator[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    while chunk := list(islice(rows, _CHUNK_ROWS)):
        yield chunk


def _add(digest: Any, rows: Sequence[Sequence[Any]]) -> None:
    for row in rows:
        digest.update(repr(row).encode("utf-8", "surrogatepass"))
