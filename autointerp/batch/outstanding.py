"""The requests a run has put into batch files, found again when their results come: one SQLite file.

A result names nothing but the key of its request, so what the journal wants to know beside the reply (the request, its
texts) is kept here from the export on, and so is which failed results were counted already. Knows no file formats.
"""

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
    """A request that was exported, for `stage`, last in `file` (its round and the file's name). `record` lacks the
    reply."""

    stage: str
    file: str
    record: ReplyRecord


class Place(NamedTuple):
    """Where a request stands: the first round of its stage that held it, and the round and file that last did."""

    round_number: int
    file: str


class Outstanding:
    """An open record; made by `open_outstanding`. Every method may raise ArtefactError (damage, a full disk)."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def put(self, record: ReplyRecord, *, stage: str, round_number: int, file: str) -> None:
        """Queue a request; `record` is one of a reply that is still to come. A new file replaces an older one."""
        self._store.write((_INSERT_PART, item) for item in record.parts.items())
        row = (record.key, stage, round_number, file, record.endpoint, record.model, record.request)
        self._store.write([(_INSERT_REQUEST, row)])

    def find(self, key: str) -> Asked | None:
        """The request under `key`, its texts included, as far as it is committed."""
        rows = self._store.read(_FIND, (key,))
        if not rows:
            return None
        stage, file, endpoint, model, request = rows[0]
        parts = dict(self._store.read(_FIND_PARTS, (request,)))
        record = ReplyRecord(key, endpoint, model, request, text="", finish="", reply_model="", parts=parts)
        return Asked(stage, file, record)

    def exported(self, key: str) -> Place | None:
        """Where the request stood, or None when it was never exported."""
        rows = self._store.read("SELECT round_number, file FROM requests WHERE key = ?", (key,))
        return Place(*rows[0]) if rows else None

    def unanswered(self, stage: str) -> Iterator[tuple[str, str]]:
        """The requests of a stage that are not known to be answered, each key with its file, a page at a time."""
        after = ""
        while rows := self._store.read(_PAGE, (stage, after)):
            yield from rows
            after = rows[-1][0]

    def mark_answered(self, key: str) -> None:
        """Queue that the journal has the reply."""
        self._store.write([("UPDATE requests SET is_answered = 1 WHERE key = ?", (key,))])

    def flush(self) -> None:
        """Wait until all that was queued is on disk."""
        self._store.flush()

    def count_failure(self, key: str, line: str) -> int | None:
        """Note that a result line, named by a hash, tells of a failure of `key`: the how manieth of it that is,
        counted from 1, or None when this line was counted before."""
        if self._store.read("SELECT 1 FROM failures WHERE key = ? AND line = ?", (key, line)):
            return None
        self._store.write([(_INSERT_FAILURE, (key, line))])
        self._store.flush()
        return self.n_failures(key)

    def n_failures(self, key: str) -> int:
        """How often a request failed in batches."""
        return self._store.read("SELECT count(*) FROM failures WHERE key = ?", (key,))[0][0]

    def close(self) -> None:
        """Commit what is queued and close the file."""
        self._store.close()

    def __enter__(self) -> Outstanding:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_outstanding(path: Path) -> Outstanding:
    """Open the record at `path`, or create it. Raises ArtefactError when it is damaged or foreign."""
    return Outstanding(SqliteStore(path, schema=_SCHEMA))
