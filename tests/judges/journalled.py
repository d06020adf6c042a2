"""Which requests a journal on disk has replies to, named as the test server names them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from autointerp.runs.journal import open_journal
from tests.judges.fault_server import content_hash

__all__ = ["journalled"]


def journalled(path: Path, *, model: str | None = None) -> set[str]:
    """The content hashes, as the server knows them, of the requests whose replies are on disk."""
    if not path.exists():
        return set()
    with open_journal(path) as journal:
        with sqlite3.connect(path) as other:
            rows = other.execute("SELECT key, model FROM replies").fetchall()
        other.close()
        requests = [journal.load_request(key) for key, asked in rows if model in (None, asked)]
    return {content_hash({"messages": _in_order(request["messages"])}) for request in requests if request}


def _in_order(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"role": message["role"], "content": message["content"]} for message in messages]
