"""Recovery of a damaged journal's paid replies into a new one; the damaged file is kept beside it.

Tables are read from both ends, then by ever narrower key ranges. Everything else follows from the replies free of
charge.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.errors import ArtefactError
from autointerp.runs.digests import has_its_replies
from autointerp.runs.journal import open_journal
from autointerp.runs.journal_schema import JOURNAL_SCHEMA
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.manifest import Manifest, read_manifest
from autointerp.runs.sqlite_store import primary_code

__all__ = ["Recovered", "recover_journal", "recover_run"]

_HEX = "0123456789abcdef"

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Recovered:
    """Recovered journal at `path`. `n_before`: replies in the old file, None if unreadable; `damaged`: its new
    place.
    """

    path: Path
    n_replies: int
    n_before: int | None
    damaged: Path


def recover_run(root: Path) -> list[Recovered]:
    """Recover all damaged journals of a run and its shards, and let asking stages repeat from saved replies.

    Raises ArtefactError when it is no run, is being written, or nothing is readable.
    """
    whole, recovered = RunLayout(root), []
    read_manifest(whole)
    for layout in (whole, *whole.find_shards()):
        with RunLock(layout.lock):
            if layout.journal.is_file() and (_is_damaged(layout.journal) or not has_its_replies(layout)):
                manifest = Manifest(layout, read_manifest(layout))
                manifest.forget("explain", "score", "report")
                manifest.drop("replies")
                recovered.append(recover_journal(layout.journal))
    return recovered


def recover_journal(path: Path) -> Recovered:
    """Replace a journal by one with all readable replies; hold the run's lock.

    Raises ArtefactError when nothing is readable.
    """
    if not path.is_file():
        raise ArtefactError(f"journal {path} does not exist; there is nothing to recover")
    made = path.with_name(f"{path.name}.recovered")
    _remove(made)
    open_journal(made).close()
    try:
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(made)) as new:
            old.execute("PRAGMA writable_schema = ON")  # else a file cut short is not read at all
            _require_schema(old, path)
            _copy(old, new, "replies", key="key", order="rowid")
            _copy(old, new, "parts", key="hash", order="hash", is_sound=_is_part)
            _copy(old, new, "failed_attempts", key=None, order="rowid")
            _copy(old, new, "repeats", key="key", order="rowid")
            _copy(old, new, "unpriced", key=None, order="key")
            new.commit()
            n_replies, n_before = _count(new), _count(old)
    except ArtefactError:
        _remove(made)
        raise
    except sqlite3.Error as error:
        _remove(made)
        raise ArtefactError(
            f"journal {path} cannot be recovered ({error}); move it away and run the same command again: replies that "
            "the shared cache holds are not asked for anew"
        ) from None
    damaged = _put_aside(path)
    made.replace(path)
    return Recovered(path, n_replies or 0, n_before, damaged)


def _is_damaged(path: Path) -> bool:
    """Whether SQLite calls it corrupt. Raises ArtefactError when unreadable for other reasons."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok"
    except sqlite3.DatabaseError as error:
        if primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return True
        raise ArtefactError(f"journal {path} cannot be read: {error}; nothing was changed, try again") from None


def _require_schema(old: sqlite3.Connection, path: Path) -> None:
    version = old.execute("PRAGMA user_version").fetchone()[0]
    if version != JOURNAL_SCHEMA:
        raise ArtefactError(
            f"journal {path} has schema version {version}, this program recovers {JOURNAL_SCHEMA}; use the version "
            "that wrote it"
        )


def _copy(
    old: sqlite3.Connection,
    new: sqlite3.Connection,
    table: str,
    *,
    key: str | None,
    order: str,
    is_sound: Callable[[Row], bool] = lambda row: True,
) -> None:
    """Copy readable rows; `key` is a column of hexadecimal hashes, if any."""
    columns = ", ".join(row[1] for row in new.execute(f"PRAGMA table_info({table})"))
    query = f"SELECT {columns} FROM {table}"
    insert = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({', '.join('?' * (columns.count(',') + 1))})"
    for readings in (f"{query} ORDER BY {order}", f"{query} ORDER BY {order} DESC"):
        with suppress(sqlite3.DatabaseError):  # from here on it is damaged; the next reading comes from the other end
            new.executemany(insert, filter(is_sound, old.execute(readings)))
            return
    if key is not None:
        # digits enough to tell the pages of the file apart, and one more
        depth = math.ceil(math.log(old.execute("PRAGMA page_count").fetchone()[0], len(_HEX))) + 1
        rows = _by_prefix(old, f"{query} WHERE {key} >= ? AND {key} < ?", "", depth)
        new.executemany(insert, filter(is_sound, rows))


def _by_prefix(old: sqlite3.Connection, query: str, prefix: str, depth: int) -> Iterator[Row]:
    """Rows by key prefix, narrowed where unreadable."""
    try:
        # 'g' follows every hexadecimal digit
        yield from old.execute(query, (prefix, prefix + "g"))
    except sqlite3.DatabaseError:
        for digit in _HEX if len(prefix) < depth else "":
            yield from _by_prefix(old, query, prefix + digit, depth)


def _is_part(row: Row) -> bool:
    return row[0] == hashlib.blake2b(str(row[1]).encode(), digest_size=16).hexdigest()


def _count(connection: sqlite3.Connection) -> int | None:
    with suppress(sqlite3.DatabaseError):
        return connection.execute("SELECT count(*) FROM replies").fetchone()[0]
    return None


def _put_aside(path: Path) -> Path:
    """Rename the file and SQLite's companions."""
    number, damaged = 1, path.with_name(f"{path.stem}.damaged{path.suffix}")
    while damaged.exists():
        number += 1
        damaged = path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(damaged.with_name(damaged.name + suffix))
    return damaged


def _remove(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
