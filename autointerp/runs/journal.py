"""The journal of a run: every request with its reply and price, every failed attempt, explanations and verdicts.

It is the authority on what was asked and paid for. One process writes it, through one thread that commits by
500 rows or 0.25 s; a reply may be used as soon as it is recorded, so kill -9 loses at most what was in flight and
one such batch. It takes records and knows nothing of judges or prompts; no key or header ever reaches it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
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

__all__ = ["Journal", "journal_error", "open_journal", "open_reader", "read_journal"]

_RESERVE_BYTES = 4_000_000
"""Room for the replies of a flush and of what is in flight, should the disk be full: some 25 kB each in the log."""

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
    """An open journal; made by `open_journal`. Reading includes what is queued. Every method may raise ArtefactError
    (damage, a full disk)."""

    def __init__(self, store: SqliteStore, *, behind: SqliteReader | None = None) -> None:
        super().__init__(store)
        self._store, self._behind = store, behind
        self._recent: OrderedDict[str, tuple[int, ReplyRecord]] = OrderedDict()
        self._followers: dict[str, Callable[[ReplyRecord], None]] = {}

    def find_reply(self, key: str) -> ReplyRecord | None:
        """The reply recorded under `key`, committed or not, without its `parts`; here, or in the journal behind."""
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

        `usd_at_most` is what it may have cost where its price is not known. `then` is called with it once it is on
        disk, by whoever next uses the journal: what other runs are given must not be there while this one has lost it.
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
        """Queue a failed attempt. It is kept for the account and never answers a request."""
        self._store.write([(_INSERT_ATTEMPT, astuple(attempt))])

    def charge(self, key: str, account: Account) -> None:
        """Queue whom the reply under `key` is paid for, whether it is there yet or still to come; twice is once.

        Called before the reply is asked for, so that no kill leaves a reply that nobody pays for, and nothing is asked
        that could not be written down. Raises ArtefactError once the disk is full.
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
        """Queue verdicts, committed together; one about the same window by the same question is replaced."""
        self._store.write([(_INSERT_VERDICT, _verdict_row(verdict)) for verdict in verdicts])

    def save_unscored(self, unscored: Iterable[Unscored]) -> None:
        """Queue why scorers asked nothing about features; an older reason of the same feature and scorer goes."""
        self._store.write([(_INSERT_UNSCORED, astuple(item)) for item in unscored])

    def forget_explanations(self) -> None:
        """Drop all explanations, so that a stage done anew leaves none of before; the replies they came from stay."""
        self._store.write([("DELETE FROM explanations", ())])

    def forget_verdicts(self) -> None:
        """Drop all verdicts and reasons for having none, likewise: windows of an older harvest must not be counted."""
        self._store.write([("DELETE FROM verdicts", ()), ("DELETE FROM unscored", ())])

    def flush(self) -> None:
        """Wait until all that was queued is on disk."""
        self._store.flush()
        self._forget_committed()

    def close(self) -> None:
        """Commit what is queued and close the file; closing twice is harmless."""
        if self._behind is not None:
            self._behind.close()
        self._store.close()

    def _read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self._store.flush()
        return super()._read(query, parameters)

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
    """Open the journal at `path`, or create it. `behind` is the journal of the whole run, whose replies answer a
    shard's requests, too; it is only read, and may be missing.

    Raises ArtefactError when it is missing (with `must_exist`), damaged, of a foreign schema version or read-only.
    """
    reader = None if behind is None or not behind.is_file() else open_reader(behind)
    store = SqliteStore(path, schema=SCHEMA, must_exist=must_exist, reserve_bytes=_RESERVE_BYTES)
    return Journal(store, behind=reader)


def read_journal(path: Path, *, is_checked: bool = True) -> JournalReader:
    """The journal at `path` for reading alone, looked through for damage; another process may be writing it.

    Raises ArtefactError when it is missing, damaged or of a foreign schema version.
    """
    return JournalReader(SqliteReader(path, schema=SCHEMA, is_checked=is_checked))


def journal_error(error: sqlite3.Error, path: Path) -> ArtefactError:
    """What SQLite says of the journal at `path`, in one line."""
    return store_error(error, path=path, schema=SCHEMA)


def open_reader(path: Path) -> SqliteReader:
    """Open the journal at `path` for reading alone: it may be in use, and nothing is written beside it.

    Raises ArtefactError when it is missing, damaged or of a foreign schema version.
    """
    return SqliteReader(path, schema=SCHEMA)
