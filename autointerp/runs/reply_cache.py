"""Replies shared by a user's runs: a question to the same model is paid once.

A SQLite file for several processes, under keys that tell models apart (`keys.shared_key`). Where it cannot be written
it is given up with one warning.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType

from platformdirs import user_cache_path

from autointerp.errors import ArtefactError
from autointerp.runs.reply_record import ReplyRecord
from autointerp.runs.sqlite_store import Schema, SqliteStore

__all__ = ["ReplyCache", "default_cache_path", "open_reply_cache"]

_COLUMNS = tuple(field.name for field in fields(ReplyRecord) if field.name not in ("parts", "source"))

_SCHEMA = Schema(
    noun="reply cache",
    application_id=0x41494352,
    version=2,
    tables="""
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, endpoint TEXT NOT NULL, model TEXT NOT NULL, request TEXT NOT NULL, text TEXT NOT NULL,
    finish TEXT NOT NULL, reply_model TEXT NOT NULL, token_logprobs TEXT, probabilities TEXT,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, usd REAL,
    latency_s REAL NOT NULL, n_attempts INTEGER NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS parts (hash TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
""",
    fix="move it away, or choose another with --cache DIR",
)

_INSERT_PART = "INSERT OR IGNORE INTO parts (hash, content) VALUES (?, ?)"
_INSERT_REPLY = f"INSERT OR IGNORE INTO replies ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class ReplyCache:
    """Made by `open_reply_cache`."""

    def __init__(self, store: SqliteStore | None) -> None:
        """`store` None keeps nothing."""
        self._store = store
        self._recent: OrderedDict[str, tuple[int, ReplyRecord]] = OrderedDict()

    def find(self, key: str) -> ReplyRecord | None:
        """Reply stored by any process, with texts."""
        if self._store is None:
            return None
        self._forget_committed()
        if key in self._recent:
            return self._recent[key][1]
        try:
            rows = self._store.read(f"SELECT {', '.join(_COLUMNS)} FROM replies WHERE key = ?", (key,))
            if not rows:
                return None
            values = dict(zip(_COLUMNS, rows[0], strict=True))
            query = (
                "SELECT hash, content FROM parts WHERE hash IN "
                "(SELECT json_extract(value, '$.content') FROM json_each(?, '$.messages'))"
            )
            parts = dict(self._store.read(query, (values["request"],)))
        except ArtefactError as error:
            self._fall_silent(error)
            return None
        return ReplyRecord(**values, parts=parts)

    def store(self, record: ReplyRecord, *, key: str | None = None) -> None:
        """Queue a reply, under `key` if given; the first one stays."""
        if self._store is None:
            return
        record = record if key is None else replace(record, key=key)
        rows = [(_INSERT_PART, item) for item in record.parts.items()]
        try:
            ticket = self._store.write([*rows, (_INSERT_REPLY, [getattr(record, name) for name in _COLUMNS])])
        except ArtefactError as error:
            self._fall_silent(error)
            return
        self._forget_committed()  # here as well: a run that reuses nothing never looks for anything
        self._recent[record.key] = (ticket, record)

    def flush(self) -> None:
        """Wait until everything queued is on disk."""
        if self._store is None:
            return
        try:
            self._store.flush()
        except ArtefactError as error:
            self._fall_silent(error)

    def close(self) -> None:
        """Commit and close; idempotent."""
        if self._store is None:
            return
        try:
            self._store.close()
        except ArtefactError as error:
            self._fall_silent(error)

    def __enter__(self) -> ReplyCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _forget_committed(self) -> None:
        n_written = 0 if self._store is None else self._store.n_written
        while self._recent and next(iter(self._recent.values()))[0] <= n_written:
            self._recent.popitem(last=False)

    def _fall_silent(self, error: ArtefactError) -> None:
        store, self._store = self._store, None
        self._recent.clear()
        if store is not None:
            with suppress(ArtefactError):
                store.close()
        warnings.warn(f"replies are no longer shared between runs: {error}", RuntimeWarning, stacklevel=3)


def default_cache_path() -> Path:
    """In the platform's cache directory."""
    return user_cache_path("autointerp", appauthor=False, opinion=False) / "replies.sqlite"


def open_reply_cache(path: Path | None = None) -> ReplyCache:
    """Open or create a cache (default: the user's).

    Raises ArtefactError for a named file that is damaged, foreign or cannot be created; an unusable default only warns.
    """
    if path is not None:
        return ReplyCache(SqliteStore(path, schema=_SCHEMA))
    try:
        return ReplyCache(SqliteStore(default_cache_path(), schema=_SCHEMA))
    except (ArtefactError, RuntimeError) as error:  # without HOME there is no such place
        warnings.warn(f"replies are not shared between runs: {error}", RuntimeWarning, stacklevel=2)
        return ReplyCache(None)
