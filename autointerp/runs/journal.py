"""The journal of a run: requests, replies, prices, failed attempts, explanations and verdicts.

It decides what was asked and paid. One process writes it, in batches of 500 rows or 0.25 s; kill -9 loses at most
requests in flight and one batch. Keys and headers never reach it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from autointerp.errors import ArtefactError
from autointerp.records.verdict import Explanation, Unscored, Verdict
from autointerp.runs.journal_reader import EXPLANATION_COLUMNS, UNSCORED_COLUMNS, VERDICT_COLUMNS, JournalReader
from autointerp.runs.journal_schema import SCHEMA
from autointerp.runs.reply_record import Account, FailedAttempt, ReplyRecord
from autointerp.runs.sqlite_reader import SqliteReader
from autointerp.runs.sqlite_store import SqliteStore, store_error

__all__ = ["Journal", "Key", "journal_error", "open_journal", "open_reader", "read_journal"]

Key = tuple[str, int]
"""Dictionary and feature."""

_RESERVE_BYTES = 4_000_000
"""For the replies of a flush and in flight on a full disk, some 25 kB each."""

_REPLY_COLUMNS = tuple(field.name for field in fields(ReplyRecord) if field.name != "parts")
_ATTEMPT_COLUMNS = tuple(field.name for field in fields(FailedAttempt))


def _insert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})"


_INSERT_PART = "INSERT OR IGNORE INTO parts (hash, content) VALUES (?, ?)"
_INSERT_REPLY = _insert("replies", _REPLY_COLUMNS)
_INSERT_ATTEMPT = _insert("failed_attempts", _ATTEMPT_COLUMNS)
_INSERT_UNPRICED = _insert("unpriced", ("key", "at", "usd_at_most"))
_INSERT_EXPLANATION = _insert("explanations", EXPLANATION_COLUMNS)
_INSERT_VERDICT = _insert("verdicts", VERDICT_COLUMNS)
_INSERT_UNSCORED = _insert("unscored", UNSCORED_COLUMNS)
_INSERT_CHARGE = "INSERT OR IGNORE INTO charges (key, dictionary, explainer, scorer) VALUES (?, ?, ?, ?)"
_INSERT_QUESTION = _insert("questions", ("dictionary", "feature", "explainer", "scorer", "control", "key", "windows"))


class Journal(JournalReader):
    """Reads include queued rows. Every method may raise ArtefactError (damage, a full disk)."""

    def __init__(self, store: SqliteStore, *, behind: SqliteReader | None = None) -> None:
        super().__init__(store)
        self._store, self._behind = store, behind
        self._recent: OrderedDict[str, tuple[int, ReplyRecord]] = OrderedDict()
        self._followers: dict[str, Callable[[ReplyRecord], None]] = {}

    def find_reply(self, key: str) -> ReplyRecord | None:
        """Reply under `key`, queued ones and those of the journal behind included, without `parts`."""
        self._forget_committed()
        if key in self._recent:
            return self._recent[key][1]
        query = f"SELECT {', '.join(_REPLY_COLUMNS)} FROM replies WHERE key = ?"
        rows = self._store.read(query, (key,))
        if not rows and self._behind is not None:
            rows = self._behind.read(query, (key,))
        return ReplyRecord(**dict(zip(_REPLY_COLUMNS, rows[0], strict=True))) if rows else None

    def record_reply(
        self, record: ReplyRecord, *, usd_at_most: float = 0.0, then: Callable[[ReplyRecord], None] | None = None
    ) -> None:
        """Queue a reply; it is found at once and on disk within 0.25 s.

        `usd_at_most` bounds an unknown price. `then` is called once it is on disk: other runs must not receive what
        this one may still lose.
        """
        statements: list[tuple[str, Sequence[Any]]] = [(_INSERT_PART, item) for item in record.parts.items()]
        statements.append((_INSERT_REPLY, tuple(getattr(record, column) for column in _REPLY_COLUMNS)))
        if usd_at_most:
            statements.append((_INSERT_UNPRICED, (record.key, record.at, usd_at_most)))
        self._forget_committed()
        self._recent[record.key] = (self._store.write(statements), record)
        if then is not None:
            self._followers[record.key] = then

    def record_failure(self, attempt: FailedAttempt) -> None:
        """Queue a failed attempt, which never answers a request."""
        self._store.write([(_INSERT_ATTEMPT, astuple(attempt))])

    def charge(self, key: str, account: Account) -> None:
        """Queue the account that pays for the reply under `key`; repeating changes nothing.

        Call it before asking: then no kill leaves an unbooked reply, and nothing is asked that cannot be recorded.
        Raises ArtefactError on a full disk.
        """
        self._store.require_room()
        whom = (account.dictionary, account.explainer, account.scorer or "")
        statements: list[tuple[str, Sequence[Any]]] = [(_INSERT_CHARGE, (key, *whom))]
        if account.feature is not None:
            row = (account.dictionary, account.feature, *whom[1:], account.control or "", key)
            statements.append((_INSERT_QUESTION, (*row, json.dumps(account.windows))))
        self._store.write(statements)

    def save_explanations(self, explanations: Iterable[Explanation]) -> None:
        """Queue explanations; one of the same feature, explainer, judge and prompt is replaced."""
        self._store.write([(_INSERT_EXPLANATION, astuple(explanation)) for explanation in explanations])

    def save_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Queue verdicts, committed together; one of the same window and question is replaced."""
        self._store.write([(_INSERT_VERDICT, _verdict_row(verdict)) for verdict in verdicts])

    def save_unscored(self, unscored: Iterable[Unscored]) -> None:
        """Queue reasons against scoring; one of the same feature and scorer is replaced."""
        self._store.write([(_INSERT_UNSCORED, astuple(item)) for item in unscored])

    def forget_explanations(self) -> set[Key]:
        """Drop all explanations before a stage is repeated; replies stay. Returns the features that had one."""
        features = self._features("explanations")
        self._store.write([("DELETE FROM explanations", ())])
        return features

    def forget_verdicts(self) -> set[Key]:
        """Drop verdicts and unscored features: windows of an older harvest must not count. Returns the features that
        had verdicts.
        """
        features = self._features("verdicts")
        self._store.write([("DELETE FROM verdicts", ()), ("DELETE FROM unscored", ())])
        return features

    def _features(self, table: str) -> set[Key]:
        return {(name, feature) for name, feature in self._read(f"SELECT DISTINCT dictionary, feature FROM {table}")}

    def flush(self) -> None:
        """Wait until everything queued is on disk."""
        self._store.flush()
        self._forget_committed()

    def close(self) -> None:
        """Commit and close; idempotent."""
        if self._behind is not None:
            self._behind.close()
        self._store.close()

    def _read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self._store.flush()
        return super()._read(query, parameters)

    def _iter(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        self._store.flush()
        return super()._iter(query, parameters)

    def _forget_committed(self) -> None:
        while self._recent and next(iter(self._recent.values()))[0] <= self._store.n_written:
            key, (_, record) = self._recent.popitem(last=False)
            then = self._followers.pop(key, None)
            if then is not None:
                then(record)


def _verdict_row(verdict: Verdict) -> list[Any]:
    values = {column: getattr(verdict, column) for column in VERDICT_COLUMNS}
    values["control"] = verdict.control or ""  # NULL is never equal to NULL in a primary key
    values["predictions"] = None if verdict.predictions is None else json.dumps(verdict.predictions)
    return list(values.values())


def open_journal(path: Path, *, must_exist: bool = False, behind: Path | None = None) -> Journal:
    """Open or create a journal; replies of the read-only journal `behind` answer a shard's requests too.

    Raises ArtefactError when missing (`must_exist`), damaged, foreign or read-only.
    """
    reader = None if behind is None or not behind.is_file() else open_reader(behind)
    store = SqliteStore(path, schema=SCHEMA, must_exist=must_exist, reserve_bytes=_RESERVE_BYTES)
    return Journal(store, behind=reader)


def read_journal(path: Path, *, is_checked: bool = True) -> JournalReader:
    """Journal for reading, checked for damage; another process may be writing it.

    Raises ArtefactError when missing, damaged or foreign.
    """
    return JournalReader(SqliteReader(path, schema=SCHEMA, is_checked=is_checked))


def journal_error(error: sqlite3.Error, path: Path) -> ArtefactError:
    return store_error(error, path=path, schema=SCHEMA)


def open_reader(path: Path) -> SqliteReader:
    """As `read_journal`, for queries."""
    return SqliteReader(path, schema=SCHEMA)
