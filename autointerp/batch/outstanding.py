"""Exported requests, in one SQLite file, for results that name only their keys. It also notes counted failures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from autointerp.runs.reply_record import ReplyRecord
from autointerp.runs.sqlite_store import Schema, SqliteStore

__all__ = ["Asked", "Outstanding", "Place", "open_outstanding"]

_SCHEMA = Schema(
    noun="record of exported requests",
    application_id=0x41494252,
    version=1,
    tables="""
CREATE TABLE IF NOT EXISTS parts (hash TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY, stage TEXT NOT NULL, round_number INTEGER NOT NULL, file TEXT NOT NULL,
    endpoint TEXT NOT NULL, model TEXT NOT NULL, request TEXT NOT NULL, is_answered INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (
    key TEXT NOT NULL, line TEXT NOT NULL, PRIMARY KEY (key, line)
) WITHOUT ROWID;
""",
    fix="move it away and export again",
)

_INSERT_PART = "INSERT OR IGNORE INTO parts (hash, content) VALUES (?, ?)"
_INSERT_REQUEST = (
    "INSERT INTO requests (key, stage, round_number, file, endpoint, model, request) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET file = excluded.file, is_answered = 0"
)
_INSERT_FAILURE = "INSERT OR IGNORE INTO failures (key, line) VALUES (?, ?)"
_FIND = "SELECT stage, file, endpoint, model, request FROM requests WHERE key = ?"
_FIND_PARTS = (
    "SELECT hash, content FROM parts WHERE hash IN "
    "(SELECT json_extract(value, '$.content') FROM json_each(?, '$.messages'))"
)
_PAGE = "SELECT key, file FROM requests WHERE stage = ? AND key > ? AND NOT is_answered ORDER BY key LIMIT 5000"


@dataclass(frozen=True, slots=True)
class Asked:
    """Exported request of `stage`, last written to `file` (round and name); `record` has no reply."""

    stage: str
    file: str
    record: ReplyRecord


class Place(NamedTuple):
    """First round of a request, and the file that held it last."""

    round_number: int
    file: str


class Outstanding:
    """Every method may raise ArtefactError (damage, a full disk)."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def put(self, record: ReplyRecord, *, stage: str, round_number: int, file: str) -> None:
        """Queue a request without reply; a new file replaces an older one."""
        self._store.write((_INSERT_PART, item) for item in record.parts.items())
        row = (record.key, stage, round_number, file, record.endpoint, record.model, record.request)
        self._store.write([(_INSERT_REQUEST, row)])

    def find(self, key: str) -> Asked | None:
        """Committed request with its texts."""
        rows = self._store.read(_FIND, (key,))
        if not rows:
            return None
        stage, file, endpoint, model, request = rows[0]
        parts = dict(self._store.read(_FIND_PARTS, (request,)))
        record = ReplyRecord(key, endpoint, model, request, text="", finish="", reply_model="", parts=parts)
        return Asked(stage, file, record)

    def exported(self, key: str) -> Place | None:
        """Place of a request; None when never exported."""
        rows = self._store.read("SELECT round_number, file FROM requests WHERE key = ?", (key,))
        return Place(*rows[0]) if rows else None

    def unanswered(self, stage: str) -> Iterator[tuple[str, str]]:
        """Keys and files of unanswered requests."""
        # paged by key: rows may be marked between two pages
        after = ""
        while rows := self._store.read(_PAGE, (stage, after)):
            yield from rows
            after = rows[-1][0]

    def mark_answered(self, key: str) -> None:
        """Queue the note that the journal has the reply."""
        self._store.write([("UPDATE requests SET is_answered = 1 WHERE key = ?", (key,))])

    def flush(self) -> None:
        """Wait until everything queued is on disk."""
        self._store.flush()

    def count_failure(self, key: str, line: str) -> int | None:
        """Note a failure by the hash of its line; returns its ordinal for `key`, from 1, or None for a known line."""
        if self._store.read("SELECT 1 FROM failures WHERE key = ? AND line = ?", (key, line)):
            return None
        self._store.write([(_INSERT_FAILURE, (key, line))])
        self._store.flush()
        return self.n_failures(key)

    def n_failures(self, key: str) -> int:
        return self._store.read("SELECT count(*) FROM failures WHERE key = ?", (key,))[0][0]

    def close(self) -> None:
        self._store.close()

    def __enter__(self) -> Outstanding:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_outstanding(path: Path) -> Outstanding:
    """Open or create the record. Raises ArtefactError when damaged or foreign."""
    return Outstanding(SqliteStore(path, schema=_SCHEMA))
