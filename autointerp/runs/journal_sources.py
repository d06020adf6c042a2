"""Several journals as one, read-only, as of the first query: attached in turn or gathered into temporary tables.

Merged replies count once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from autointerp.runs.journal import journal_error, open_reader

__all__ = ["JournalSources"]

_REPLY = (
    "key, model, finish, input_tokens, output_tokens, cached_tokens, usd, latency_s, n_attempts, source, at, "
    # a question put again quotes the reply that could not be read, or is another sample
    "instr(request, '\"role\":\"assistant\"') > 0 OR json_extract(request, '$.sample') > 0 AS is_again"
)
_TABLES = """
CREATE TEMP TABLE replies (
    key, model, finish, input_tokens, output_tokens, cached_tokens, usd, latency_s, n_attempts, source, at, is_again,
    UNIQUE (key, at, source)
);
CREATE TEMP TABLE charges (key, dictionary, explainer, scorer, UNIQUE (key, dictionary, explainer, scorer));
CREATE TEMP TABLE failed_attempts (
    key, attempt, error_class, message, latency_s, at, UNIQUE (key, attempt, error_class, message, at)
);
CREATE TEMP TABLE verdicts (
    dictionary, feature, explainer, scorer, judge, prompt_hash, control, window, answer,
    UNIQUE (dictionary, feature, explainer, scorer, judge, prompt_hash, control, window)
);
CREATE TEMP TABLE explanations (
    dictionary, feature, explainer, judge, prompt_hash, failure,
    UNIQUE (dictionary, feature, explainer, judge, prompt_hash)
);
"""
_COPIED = {
    "replies": f"SELECT {_REPLY} FROM source.replies UNION ALL SELECT {_REPLY} FROM source.repeats",
    "charges": "SELECT key, dictionary, explainer, scorer FROM source.charges",
    "failed_attempts": "SELECT key, attempt, error_class, message, latency_s, at FROM source.failed_attempts",
    "verdicts": "SELECT dictionary, feature, explainer, scorer, judge, prompt_hash, control, window, answer "
    "FROM source.verdicts",
    "explanations": "SELECT dictionary, feature, explainer, judge, prompt_hash, failure FROM source.explanations",
}


class JournalSources:
    """`query` asks all journals together; `each` attaches one after another as `source`, for queries on
    `connection`.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self.connection = sqlite3.connect("", isolation_level=None, uri=True)
        self._is_gathered = False

    @property
    def is_single(self) -> bool:
        return len(self._paths) == 1

    def close(self) -> None:
        """Idempotent."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def each(self) -> Iterator[Path]:
        """Attach each journal as `source`; a single one stays."""
        for path in self._paths:
            is_attached = any(row[1] == "source" for row in self.connection.execute("PRAGMA database_list").fetchall())
            if is_attached and len(self._paths) > 1:  # whoever read the last one stopped early
                self.connection.execute("DETACH source")
            if not is_attached or len(self._paths) > 1:
                with open_reader(path) as reader:
                    self.connection.execute("ATTACH ? AS source", (reader.uri,))
            try:
                yield path
            except sqlite3.Error as error:
                raise journal_error(error, path) from None
            if len(self._paths) > 1:
                self.connection.execute("DETACH source")

    def query(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows over all journals."""
        try:
            if not self._is_gathered:
                self._gather()
            with closing(self.connection.execute(query, parameters)) as cursor:
                yield from cursor.fetchall()
        except sqlite3.Error as error:
            raise journal_error(error, self._paths[0]) from None

    def _gather(self) -> None:
        """Views of a single journal, copies without texts of several."""
        if len(self._paths) == 1:
            for _ in self.each():
                for table, query in _COPIED.items():
                    self.connection.execute(f"CREATE TEMP VIEW {table} AS {query}")
            self.connection.execute("BEGIN")  # every query sees the journal of one moment
        else:
            self.connection.executescript(_TABLES)
            for _ in self.each():
                for table, query in _COPIED.items():
                    self.connection.execute(f"INSERT OR IGNORE INTO temp.{table} {query}")
            # a shard may have found in the shared cache what another one paid for
            self.connection.execute(
                "DELETE FROM temp.replies WHERE source = 'cache' AND EXISTS (SELECT 1 FROM temp.replies AS other "
                "WHERE other.key = replies.key AND (other.source = 'judge' OR other.at < replies.at))"
            )
        self._is_gathered = True
