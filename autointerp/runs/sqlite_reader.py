"""A SQLite file opened for reading while others may write it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from autointerp.errors import ArtefactError
from autointerp.runs.sqlite_store import Schema, find_damage, store_error

__all__ = ["SqliteReader", "is_laid_out"]

_BUSY_S = 30.0
_CHUNK_ROWS = 1000


class SqliteReader:
    def __init__(self, path: Path, *, schema: Schema, is_checked: bool = False) -> None:
        """`is_checked`: look for damage in the whole file. Raises ArtefactError when missing, damaged or foreign."""
        self._path, self._schema = path, schema
        if not path.is_file():
            raise ArtefactError(f"{schema.noun} {path} does not exist; run the stage that writes it first")
        self._lock = threading.RLock()  # a query may be asked while another's rows are read
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection, self.uri = _connect(path)
            self._check(self._connection)
            if is_checked:
                find_damage(self._connection, path)
        except sqlite3.Error as error:
            self.close()
            raise self._error(error) from None
        except ArtefactError:
            self.close()
            raise

    @property
    def path(self) -> Path:
        return self._path

    def read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Committed rows. Raises ArtefactError for a damaged file."""
        return list(self.iter_rows(query, parameters))

    def iter_rows(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """As `read`, streamed."""
        with self._lock:
            if self._connection is None:
                raise ValueError(f"{self._path} is closed")
            try:
                cursor = self._connection.execute(query, parameters)
                while rows := cursor.fetchmany(_CHUNK_ROWS):
                    yield from rows
            except sqlite3.Error as error:
                raise self._error(error) from None

    def close(self) -> None:
        """Idempotent."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def __enter__(self) -> SqliteReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, connection: sqlite3.Connection) -> None:
        schema = self._schema
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != schema.application_id:
            raise ArtefactError(f"{self._path} is a SQLite file of another program, not a {schema.noun}; {schema.fix}")
        if version != schema.version:
            raise ArtefactError(
                f"{schema.noun} {self._path} has schema version {version}, this program reads {schema.version}; "
                f"use the version that wrote it, or {schema.fix}"
            )

    def _error(self, error: sqlite3.Error) -> ArtefactError:
        return store_error(error, path=self._path, schema=self._schema)


def is_laid_out(path: Path) -> bool:
    """Whether the file is there and holds a table: who begins one makes the file before its tables."""
    if not path.is_file():
        return False
    with suppress(sqlite3.Error):  # what is wrong with it is said by whoever reads it
        connection, _ = _connect(path)
        with closing(connection):
            return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    return True


def _connect(path: Path) -> tuple[sqlite3.Connection, str]:
    """Reading connection and its address."""
    place = f"file:{quote(str(path.resolve()))}"
    try:
        # mode=rw lets SQLite remove its own log; in a read-only folder none is being written
        address = f"{place}?mode=rw"
        return _open(address), address
    except sqlite3.OperationalError:
        address = f"{place}?mode=ro&immutable=1"
        return _open(address), address


def _open(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
