"""A SQLite file with one writer thread that commits in batches by count and time.

In WAL mode with `synchronous = NORMAL`, commits survive kill -9. Values are made storable first; a faulty row affects
no other. A reserve of disk space lets the last batches be written to a full disk.
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
"""A full disk, or an exhausted quota, which SQLite reports as a failing disk."""
_ROW_FAULTS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    UnicodeError,
    OverflowError,
)
"""Errors of one row's values."""
_CHECKED_BYTES = 1_000_000_000
"""Largest file checked when opened (1 s per GB)."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Form of a file; `noun`, `fix` and `mend` (damage) are for error messages.

    `tables` missing in an older file are added; a changed table needs a new version.
    """

    noun: str
    application_id: int
    version: int
    tables: str
    fix: str
    mend: str = ""


class SqliteStore:
    """Reads see committed rows; `write` returns at once."""

    def __init__(self, path: Path, *, schema: Schema, must_exist: bool = False, reserve_bytes: int = 0) -> None:
        """Open or create; `reserve_bytes` are set aside at the first write.

        Raises ArtefactError when missing (`must_exist`), damaged or foreign.
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
        """Committed statements."""
        return self._n_written

    def write(self, statements: Iterable[Statement]) -> int:
        """Queue statements for one commit; they are on disk once `n_written` reaches the result.

        Raises ArtefactError after a failed batch, or without space for the reserve.
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
            # the writer sleeps until a first row, then until a full batch or its time
            if before == 0 or len(self._pending) >= _BATCH_ROWS:
                self._changed.notify_all()
            return self._n_queued

    def read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Committed rows. Raises ArtefactError for a damaged file."""
        with self._read_lock:
            if self._reader is None:
                raise ValueError(f"{self._path} is closed")
            try:
                return self._reader.execute(query, parameters).fetchall()
            except sqlite3.Error as error:
                raise store_error(error, path=self._path, schema=self._schema) from None

    def iter_rows(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """As `read`: what is being written is not read row by row."""
        return iter(self.read(query, parameters))

    def require_room(self) -> None:
        """Raises ArtefactError once the disk is full or a row failed: ask for no more."""
        if self._trouble is not None:
            self._is_reported = True
            raise ArtefactError(str(self._trouble))

    def flush(self) -> None:
        """Wait for commits. Raises ArtefactError when they failed, used the reserve, or left out a row."""
        with self._changed:
            self._n_wanted = self._n_queued
            self._changed.notify_all()
            wanted = self._n_queued
            self._changed.wait_for(lambda: self._n_written >= wanted or self._failure is not None)
            self._raise_failure()
        self.require_room()

    def close(self) -> None:
        """Commit and close. Raises ArtefactError for a failure not yet reported."""
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
        """Check or create the file."""
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
            # one row is at fault: the others are written one by one
            return self._commit(batch, is_apart=True)
        except sqlite3.Error as error:
            failure = store_error(error, path=self._path, schema=self._schema)
            if primary_code(error) not in _SHORTAGES or self._reserve is None or not self._reserve.release():
                return failure
            # the freed reserve has room for this batch
            self._trouble = failure
            return self._commit(batch)
        return None

    def _insert_apart(self, connection: sqlite3.Connection, batch: list[Statement]) -> None:
        """Insert rows one by one; faulty ones are left out and remembered."""
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
    """Raises sqlite3.DatabaseError for damage in a file of checkable size."""
    if path.stat().st_size <= _CHECKED_BYTES:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            damage = sqlite3.DatabaseError(str(verdict).splitlines()[-1])
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage


def store_error(error: sqlite3.Error, *, path: Path, schema: Schema) -> ArtefactError:
    """Error in one line; only files SQLite calls corrupt count as damaged."""
    what, text = f"{schema.noun} {path}", str(error)
    code = primary_code(error)
    # mending must not be advised for a full disk, a read-only folder or an odd row
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
    """0 for errors before SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL, waiting for processes doing the same, as SQLite does not."""
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
