"""One SQLite file with one writer thread that commits in batches, by count and by time.

It takes statements and rows from any thread and knows nothing of what they mean. Every value is made one that SQLite
can hold before it is queued; a row that cannot be written all the same takes no other with it. WAL mode with
`synchronous = NORMAL`: what was committed survives kill -9 of the process. A damaged file, one of a foreign
schema version and a full disk are each one ArtefactError that names the path and the fix. With a reserve of space the
last batches before a full disk stops it are written all the same.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from autointerp.errors import ArtefactError
from autointerp.runs.reserve import SpaceReserve
from autointerp.runs.storable import storable

__all__ = ["Schema", "SqliteStore", "find_damage", "primary_code", "store_error"]

Statement = tuple[str, Sequence[Any]]

_BATCH_ROWS = 500
_BATCH_S = 0.25
_BUSY_S = 30.0
_SHORTAGES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
"""A full disk; and a quota that is used up, which SQLite reports like a failing disk."""
_ROW_FAULTS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    UnicodeError,
    OverflowError,
)
"""What is said of one row's values: another row may be written."""
_CHECKED_BYTES = 1_000_000_000
"""Files up to this size are checked for damage when opened (about 1 s per GB); larger ones when read."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file of one kind must be. `noun` and `fix` are words for error messages, `mend` those about damage.

    `tables` are statements `CREATE TABLE IF NOT EXISTS`: those that an older file of the same version lacks are added
    when it is opened. A table that changes wants a new version.
    """

    noun: str
    application_id: int
    version: int
    tables: str
    fix: str
    mend: str = ""


class SqliteStore:
    """An open SQLite file. Reads see what was committed; `write` returns at once."""

    def __init__(self, path: Path, *, schema: Schema, must_exist: bool = False, reserve_bytes: int = 0) -> None:
        """Open or create the file; `reserve_bytes` are set aside at the first write.

        Raises ArtefactError when the file is missing (with `must_exist`), damaged or foreign.
        """
        self._path, self._schema = path, schema
        self._reserve = SpaceReserve(path.with_name(f"{path.name}-reserve"), reserve_bytes) if reserve_bytes else None
        self._trouble: ArtefactError | None = None
        if must_exist and not path.is_file():
            raise ArtefactError(f"{schema.noun} {path} does not exist; run the stage that writes it first")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtefactError(f"{schema.noun} {path} cannot be created: {error.strerror}") from None
        self._read_lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        try:
            self._reader = self._connect()
            self._writer = self._connect()
            self._prepare(self._writer)
        except sqlite3.Error as error:
            self._close_connections()
            raise store_error(error, path=self._path, schema=self._schema) from None
        except ArtefactError:
            self._close_connections()
            raise
        self._changed = threading.Condition()
        self._pending: list[Statement] = []
        self._n_queued = self._n_written = self._n_wanted = 0
        self._is_closing = self._is_reported = False
        self._failure: ArtefactError | None = None
        self._thread = threading.Thread(target=self._work, name=f"write {path.name}", daemon=True)
        self._thread.start()

    @property
    def n_written(self) -> int:
        """How many of the statements given to `write` are committed."""
        return self._n_written

    def write(self, statements: Iterable[Statement]) -> int:
        """Queue statements, to be committed together; returns the `n_written` from which on they are on disk. Half
        characters become `?`, and integers are bounded by what SQLite holds.

        Raises ArtefactError when an earlier batch could not be written, or the reserve cannot be set aside.
        """
        if self._reserve is not None:
            self._reserve.take()
        with self._changed:
            self._raise_failure()
            if self._is_closing:
                raise ValueError(f"{self._path} is closed")
            before = len(self._pending)
            self._pending.extend((query, [storable(value) for value in row]) for query, row in statements)
            self._n_queued += len(self._pending) - before
            if before == 0 or len(self._pending) >= _BATCH_ROWS:
                self._changed.notify_all()
            return self._n_queued

    def read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query over what is committed. Raises ArtefactError when the file is damaged."""
        with self._read_lock:
            if self._reader is None:
                raise ValueError(f"{self._path} is closed")
            try:
                return self._reader.execute(query, parameters).fetchall()
            except sqlite3.Error as error:
                raise store_error(error, path=self._path, schema=self._schema) from None

    def require_room(self) -> None:
        """Raises ArtefactError once the disk is full or a row could not be written: what comes in still is, but ask for
        no more."""
        if self._trouble is not None:
            self._is_reported = True
            raise ArtefactError(str(self._trouble))

    def flush(self) -> None:
        """Wait until everything queued so far is committed. Raises ArtefactError when it cannot be, when it took the
        reserve, or when a row had to be left out."""
        with self._changed:
            self._n_wanted = self._n_queued
            self._changed.notify_all()
            wanted = self._n_queued
            self._changed.wait_for(lambda: self._n_written >= wanted or self._failure is not None)
            self._raise_failure()
        self.require_room()

    def close(self) -> None:
        """Commit what is queued and close. Raises ArtefactError if a write failed and nobody was told yet."""
        with self._changed:
            if self._is_closing:
                return
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()
        self._close_connections()
        if self._reserve is not None:
            self._reserve.release()
        if not self._is_reported:
            self._raise_failure()
            self.require_room()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._is_reported = True
            raise ArtefactError(str(self._failure))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)

    def _close_connections(self) -> None:
        with self._read_lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    with suppress(sqlite3.Error):
                        connection.close()
            self._reader = self._writer = None

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Check the file, or lay out a new one."""
        schema = self._schema
        connection.execute("BEGIN")  # one view of the file: another process may be laying it out just now
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        connection.execute("COMMIT")
        if not is_empty and application != schema.application_id:
            raise ArtefactError(f"{self._path} is a SQLite file of another program, not a {schema.noun}; {schema.fix}")
        if version not in (0, schema.version) or (version == 0 and not is_empty):
            raise ArtefactError(
                f"{schema.noun} {self._path} has schema version {version}, this program reads {schema.version}; "
                f"use the version that wrote it, or {schema.fix}"
            )
        if not is_empty:
            find_damage(connection, self._path)
        _use_wal(connection)
        if is_empty:
            # under the lock: another process may be laying out the same file
            connection.execute("BEGIN IMMEDIATE")
        for statement in schema.tables.split(";"):
            connection.execute(statement)
        if is_empty:
            connection.execute(f"PRAGMA application_id = {schema.application_id}")
            connection.execute(f"PRAGMA user_version = {schema.version}")
            connection.execute("COMMIT")

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._is_closing)
                self._changed.wait_for(self._is_due, timeout=_BATCH_S)
                batch, self._pending = self._pending, []
                if not batch and self._is_closing:
                    return
            failure = self._commit(batch)
            with self._changed:
                if failure is None:
                    self._n_written += len(batch)
                else:
                    self._failure = failure
                self._changed.notify_all()
                if failure is not None:
                    return

    def _is_due(self) -> bool:
        return len(self._pending) >= _BATCH_ROWS or self._is_closing or self._n_wanted > self._n_written

    def _commit(self, batch: list[Statement], *, is_apart: bool = False) -> ArtefactError | None:
        try:
            with self._transaction() as connection:
                if is_apart:
                    self._insert_apart(connection, batch)
                else:
                    for query, group in groupby(batch, key=lambda statement: statement[0]):
                        connection.executemany(query, [row for _, row in group])
        except _ROW_FAULTS:
            return self._commit(batch, is_apart=True)
        except sqlite3.Error as error:
            failure = store_error(error, path=self._path, schema=self._schema)
            if primary_code(error) not in _SHORTAGES or self._reserve is None or not self._reserve.release():
                return failure
            self._trouble = failure
            return self._commit(batch)
        return None

    def _insert_apart(self, connection: sqlite3.Connection, batch: list[Statement]) -> None:
        """Row by row: one that SQLite will not hold is left out, which undoes nothing of the others, and remembered."""
        for query, row in batch:
            try:
                connection.execute(query, row)
            except _ROW_FAULTS as error:
                self._trouble = ArtefactError(
                    f"{self._schema.noun} {self._path} cannot hold a row it was given ({error}); all others are kept"
                )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._writer
        assert connection is not None
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def find_damage(connection: sqlite3.Connection, path: Path) -> None:
    """Raises sqlite3.DatabaseError where a file that is not too large to be looked through is damaged."""
    if path.stat().st_size <= _CHECKED_BYTES:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            damage = sqlite3.DatabaseError(str(verdict).splitlines()[-1])
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage


def store_error(error: sqlite3.Error, *, path: Path, schema: Schema) -> ArtefactError:
    """The error in one line. Only a file that SQLite itself calls corrupt, or no database, counts as damaged: mending
    must never be advised to somebody whose disk is full, whose folder is read-only or whose row is odd."""
    what, text = f"{schema.noun} {path}", str(error)
    code = primary_code(error)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return ArtefactError(f"{what} is damaged ({text}); {schema.mend or schema.fix}")
    if code == sqlite3.SQLITE_FULL:
        fix = "free some space and run the same command again, what was written is kept"
        return ArtefactError(f"{what} cannot be written: {text}; {fix}")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        # a quota, a limit on file sizes, a disk too full for the -shm file, or a failing disk
        fix = "free some space or look after the disk, and run the same command again, what was written is kept"
        return ArtefactError(f"{what} cannot be read or written: {text}; {fix}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return ArtefactError(f"{what} is held by another process; wait for it to end, or stop it")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return ArtefactError(f"{what} cannot be opened for writing ({text}); check its permissions")
    return ArtefactError(f"{what} cannot be read or written ({text}); it is whole, and what was written is kept")


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for what went wrong before SQLite was asked."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode. SQLite does not wait here when another process does the same, so this does."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
