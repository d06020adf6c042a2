"""The one writer of a SQLite file: what a full disk, a quota and a reserve of space do to what is written."""

from __future__ import annotations

import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp.errors import ArtefactError
from autointerp.runs.sqlite_store import Schema, SqliteStore, store_error

SCHEMA = Schema(
    noun="ledger",
    application_id=0x54455354,
    version=1,
    tables="CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    fix="delete it",
    mend="mend it",
)
INSERT = "INSERT INTO rows VALUES (?, ?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def count(path: Path) -> int:
    with sqlite3.connect(path) as other:
        n = other.execute("SELECT count(*) FROM rows").fetchone()[0]
    other.close()
    return n


def cap(store: SqliteStore, n_pages: int) -> None:
    """Give the store's writer, while there is one, a disk of `n_pages` pages."""
    if store._writer is not None:
        store._writer.execute(f"PRAGMA max_page_count = {n_pages}")


@contextmanager
def no_file_above(n_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_reserve_takes_what_comes_in_after_the_disk_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(path, schema=SCHEMA, reserve_bytes=100_000)
    reserve = store._reserve
    assert reserve is not None
    release = reserve.release

    def make_room() -> bool:  # deleting the reserve is what frees pages on a real disk
        cap(store, 10_000)
        return release()

    monkeypatch.setattr(reserve, "release", make_room)
    store.write([(INSERT, (0, "small"))])
    store.flush()
    assert (path.parent / "ledger.sqlite-reserve").exists()
    store.require_room()
    cap(store, 5)
    store.write((INSERT, (number, "x" * 1000)) for number in range(1, 50))
    with pytest.raises(ArtefactError, match=r"ledger .* cannot be written: .*full; free some space"):
        store.flush()
    assert count(path) == 50, "the batch that found the disk full is lost"
    with pytest.raises(ArtefactError, match="full"):
        store.require_room()
    store.write([(INSERT, (50, "a reply that was on its way"))])
    store.close()
    assert count(path) == 51
    assert [p.name for p in path.parent.iterdir()] == ["ledger.sqlite"]


def test_a_shortage_nobody_heard_of_is_told_on_closing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(path, schema=SCHEMA, reserve_bytes=100_000)
    assert store._reserve is not None
    release = store._reserve.release
    monkeypatch.setattr(store._reserve, "release", lambda: cap(store, 10_000) or release())
    store.write([(INSERT, (0, "small"))])
    store.flush()
    cap(store, 2)
    store.write([(INSERT, (1, "x" * 100_000))])
    with pytest.raises(ArtefactError, match="full"):
        store.close()
    assert count(path) == 2


def test_a_disk_too_full_for_the_reserve_is_told_before_anything_is_queued(path: Path) -> None:
    store = SqliteStore(path, schema=SCHEMA, reserve_bytes=3_000_000)
    with no_file_above(1_000_000), pytest.raises(ArtefactError, match="cannot set 3 MB aside"):
        store.write([(INSERT, (0, "small"))])
    store.write([(INSERT, (0, "small"))])
    store.close()
    assert count(path) == 1


def test_a_quota_that_is_used_up_is_no_damage(path: Path) -> None:
    """SQLite reports it as a disk I/O error; whoever is told of damage might delete what was paid for."""
    store = SqliteStore(path, schema=SCHEMA)
    store.write([(INSERT, (0, "small"))])
    store.flush()
    with no_file_above(40_000):
        store.write((INSERT, (number, "x" * 1000)) for number in range(1, 500))
        with pytest.raises(
            ArtefactError, match=r"cannot be read or written: disk I/O error; free some space"
        ) as caught:
            store.flush()
    assert "damaged" not in str(caught.value)
    store.close()
    with_room = SqliteStore(path, schema=SCHEMA)
    with_room.write([(INSERT, (1, "again"))])
    with_room.close()
    assert count(path) == 2


def test_only_what_sqlite_calls_corrupt_is_damaged(path: Path) -> None:
    def told(code: int | None) -> str:
        error = sqlite3.DatabaseError("words")
        if code is not None:
            error.sqlite_errorcode = code
        return str(store_error(error, path=path, schema=SCHEMA))

    for code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT | (1 << 8)):
        assert told(code).endswith("is damaged (words); mend it")
    others = {name for name in dir(sqlite3) if name.startswith("SQLITE_") and name.isupper()}
    results = {getattr(sqlite3, name) for name in others if isinstance(getattr(sqlite3, name), int)}
    for code in {None, *(c for c in results if c < 100)} - {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        said = told(None if code is None else code | (3 << 8))
        assert "is damaged" not in said, code
        assert "mend it" not in said and "delete it" not in said, code


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("half \ud800 a character", "half ? a character"),
        (2**64 - 1, 2**63 - 1),
        (-(10**400), -(2**63)),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.float64(0.25), 0.25),
        (True, 1),
        (b"raw", b"raw"),
        (["a", "list"], "['a', 'list']"),
    ],
)
def test_every_value_is_made_one_that_can_be_stored(path: Path, value: Any, kept: Any) -> None:
    store = SqliteStore(path, schema=SCHEMA)
    store.write((INSERT, row) for row in [(1, "before"), (2, value), (3, "after")])
    store.flush()
    stored = kept if isinstance(kept, bytes) else str(kept)  # a column of text keeps numbers as text
    assert store.read("SELECT text FROM rows ORDER BY number") == [("before",), (stored,), ("after",)]
    store.close()


def test_a_row_that_cannot_be_written_takes_no_other_along(path: Path) -> None:
    store = SqliteStore(path, schema=SCHEMA)
    store.write((INSERT, (number, None if number == 29 else "text")) for number in range(59))
    store.write([(INSERT, (100, "in flight when it was found"))])
    with pytest.raises(
        ArtefactError, match=r"ledger .* cannot hold a row it was given \(NOT NULL .*all others are kept"
    ):
        store.flush()
    with pytest.raises(ArtefactError, match="cannot hold a row"):
        store.require_room()
    store.write([(INSERT, (101, "came later"))])
    store.close()
    assert count(path) == 60


def test_one_that_is_being_laid_out_is_not_taken_for_a_strangers(path: Path) -> None:
    """Whoever opens a file while another makes its tables must see all or nothing of that."""
    failures: list[Exception] = []
    start = threading.Barrier(6)

    def open_it(place: Path) -> None:
        start.wait()
        try:
            SqliteStore(place, schema=SCHEMA).close()
        except ArtefactError as error:
            failures.append(error)

    for number in range(8):
        threads = [threading.Thread(target=open_it, args=(path.with_name(f"{number}"),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
