"""Union of two journals, all or nothing; idempotent and independent of order.

Of several replies to a request the earliest paid one stands; others are kept as repeats, being paid too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from autointerp.errors import ArtefactError
from autointerp.runs.journal import open_journal, open_reader

__all__ = ["forget_derived", "merge_journal"]

_SETS = ("parts", "charges", "questions", "unpriced")
_GIVES_WAY = {
    "explanations": "mine.text IS NULL AND (theirs.text IS NOT NULL OR theirs.failure < mine.failure)",
    "verdicts": "mine.answer = 'error' AND theirs.answer <> 'error'",
    "unscored": "(theirs.reason, theirs.detail) < (mine.reason, mine.detail)",
}
"""When a row yields to the source's: a lost answer to a real one."""
_CONFLICTS = {
    "explanations": "mine.text <> theirs.text",
    "verdicts": "mine.answer <> theirs.answer AND 'error' NOT IN (mine.answer, theirs.answer)",
}
"""When rows cannot be of one run."""


def merge_journal(target: Path, *sources: Path) -> int:
    """Add the journals `sources`, read-only and perhaps in use, to `target`; returns the number of changed rows.

    One source after the other, in time and memory that do not grow with the target. Raises ArtefactError for damaged or
    foreign files, or contradicting explanations or verdicts; nothing of that source is then in `target`.
    """
    for source in sources:
        with open_reader(source):  # before a target is made for it
            break
    with open_journal(target):
        pass
    return sum(_merge_one(target, source) for source in sources)


def _merge_one(target: Path, source: Path) -> int:
    with open_reader(source) as reader:  # whether it is a journal of this schema, and how it can be read
        address = reader.uri
    connection = sqlite3.connect(f"file:{quote(str(target.resolve()))}", timeout=30.0, isolation_level=None, uri=True)
    try:
        connection.execute("ATTACH ? AS source", (address,))
        connection.execute("BEGIN IMMEDIATE")
        before = connection.total_changes
        _merge_derived(connection, source)
        known = {row[0] for row in connection.execute("SELECT name FROM source.sqlite_master").fetchall()}
        for table in (table for table in _SETS if table in known):  # an older release made fewer
            columns = _columns(connection, table)
            connection.execute(f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM source.{table}")
        columns = _columns(connection, "failed_attempts")
        if connection.execute("SELECT 1 FROM source.failed_attempts LIMIT 1").fetchone():
            connection.execute(
                f"INSERT INTO main.failed_attempts ({columns}) "
                f"SELECT {columns} FROM source.failed_attempts EXCEPT SELECT {columns} FROM main.failed_attempts"
            )
        n_changed = connection.total_changes - before + _merge_replies(connection)
        connection.execute("COMMIT")
        return n_changed
    except sqlite3.Error as error:
        raise ArtefactError(f"cannot add {source} to {target}: {error}; nothing was changed") from None
    finally:
        connection.close()


def forget_derived(path: Path, tables: Sequence[str]) -> None:
    """Drop explanations or verdicts; replies stay."""
    with open_journal(path) as journal:
        if "explanations" in tables:
            journal.forget_explanations()
        if "verdicts" in tables:
            journal.forget_verdicts()


def _merge_derived(connection: sqlite3.Connection, source: Path) -> None:
    for table, gives_way in _GIVES_WAY.items():
        columns, key = _columns(connection, table), _key(connection, table)
        if table in _CONFLICTS:
            query = (
                # the source is gone through, never the target, which holds what hundreds of shards brought
                f"SELECT dictionary, feature FROM source.{table} AS theirs "
                f"CROSS JOIN main.{table} AS mine USING ({key}) WHERE {_CONFLICTS[table]} LIMIT 1"
            )
            clash = connection.execute(query).fetchone()
            if clash is not None:
                raise ArtefactError(
                    f"{source} holds other {table} of feature {clash[1]} of dictionary '{clash[0]}' than are merged "
                    "already: two processes asked about it; leave one of them out, with --anew if it was merged before"
                )
        chosen = ", ".join(f"theirs.{column}" for column in columns.split(", "))
        connection.execute(
            f"INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {chosen} FROM source.{table} AS theirs "
            f"LEFT JOIN main.{table} AS mine USING ({key}) WHERE mine.dictionary IS NULL OR ({gives_way})"
        )


def _merge_replies(connection: sqlite3.Connection) -> int:
    """Add new replies; of several to one request the best stands."""
    columns = _columns(connection, "replies")
    before = connection.total_changes
    connection.execute(
        "CREATE TEMP TABLE asked_twice AS SELECT theirs.key FROM source.replies AS theirs "
        "CROSS JOIN main.replies AS mine USING (key) "
        "WHERE (theirs.at, theirs.source, theirs.text) <> (mine.at, mine.source, mine.text) "
        "UNION SELECT key FROM source.repeats"
    )
    every = " UNION ".join(
        f"SELECT {columns} FROM {schema}.{table} WHERE key IN (SELECT key FROM asked_twice)"
        for schema in ("main", "source")
        for table in ("replies", "repeats")
    )
    # paid replies first, then the earliest
    order = "PARTITION BY key ORDER BY source <> 'judge', at, text"
    connection.execute(f"CREATE TEMP TABLE pool AS SELECT *, row_number() OVER ({order}) AS place FROM ({every})")
    n_temporary = connection.total_changes - before
    connection.execute(f"INSERT OR IGNORE INTO main.replies ({columns}) SELECT {columns} FROM source.replies")
    connection.execute(
        f"INSERT OR REPLACE INTO main.replies ({columns}) SELECT {columns} FROM pool WHERE place = 1 "
        f"EXCEPT SELECT {columns} FROM main.replies WHERE key IN (SELECT key FROM asked_twice)"
    )
    connection.execute(
        f"INSERT OR IGNORE INTO main.repeats ({columns}) "
        f"SELECT {columns} FROM pool WHERE place > 1 AND source = 'judge'"
    )
    n_changed = connection.total_changes - before - n_temporary
    connection.execute("DROP TABLE pool")
    connection.execute("DROP TABLE asked_twice")
    return n_changed


def _columns(connection: sqlite3.Connection, table: str) -> str:
    return ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))


def _key(connection: sqlite3.Connection, table: str) -> str:
    rows = connection.execute(f"PRAGMA main.table_info({table})").fetchall()
    return ", ".join(row[1] for row in sorted(rows, key=lambda row: row[5]) if row[5])
