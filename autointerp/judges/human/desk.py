"""The desk of a rater: questions that wait, and the page of this machine on which a person answers them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from importlib import resources
from typing import Any

from autointerp.loopback import Answer, open_server

__all__ = ["Desk"]

_KINDS = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'"
_JSON = "application/json"


class Desk:
    """Open until `close`; questions are put by one thread and answered through others."""

    def __init__(self, rater: str, *, port: int) -> None:
        """Raises ConfigError for an unusable port."""
        self._rater = rater
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Mapping[str, Any], Future[list[int]]]] = {}
        self._n_answered = 0
        self._server = open_server(port, get=self._get, post=self._post)
        threading.Thread(target=self._server.serve_forever, name="desk", daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def put(self, sheet: Mapping[str, Any], *, most: Sequence[int]) -> Future[list[int]]:
        """Let a sheet wait for an answer to each of its questions, a whole number from 0 to its own of `most`."""
        # The smallest digest is asked next: an order that tells nothing and is another one for every rater.
        name = hashlib.sha256(json.dumps([self._rater, sheet], sort_keys=True).encode()).hexdigest()
        future: Future[list[int]] = Future()
        with self._lock:
            self._waiting[name] = ({**sheet, "id": name, "most": list(most)}, future)
        future.add_done_callback(lambda _: self._forget(name))
        return future

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _forget(self, name: str) -> None:
        with self._lock:
            self._waiting.pop(name, None)

    def _get(self, path: str) -> Answer | None:
        if path == "/next":
            with self._lock:
                name = min(self._waiting, default=None)
                sheet = None if name is None else self._waiting[name][0]
                state = {"sheet": sheet, "answered": self._n_answered, "waiting": len(self._waiting)}
            return Answer(_JSON, json.dumps(state).encode())
        name = {"/": "sheet.html", "/sheet.js": "sheet.js", "/sheet.css": "sheet.css"}.get(path)
        if name is None:
            return None
        return Answer(
            _KINDS[name.rpartition(".")[2]], (resources.files("autointerp.judges.human") / name).read_bytes(), _POLICY
        )

    def _post(self, path: str, body: bytes) -> Answer | None:
        """Take the answers to a sheet; those to one that no longer waits are left."""
        if path != "/answer":
            return None
        try:
            given = json.loads(body)
            name, answers = given["id"], given["answers"]
        except (ValueError, TypeError, KeyError):
            return None
        with self._lock:
            sheet, future = self._waiting.get(name, (None, None)) if isinstance(name, str) else (None, None)
        is_taken = sheet is not None and future is not None and _is_whole(answers, sheet["most"])
        if is_taken and future is not None:
            self._n_answered += 1
            future.set_result(answers)
        return Answer(_JSON, json.dumps({"taken": is_taken}).encode())


def _is_whole(answers: Any, most: Sequence[int]) -> bool:
    if not isinstance(answers, list) or len(answers) != len(most):
        return False
    return all(type(a) is int and 0 <= a <= n for a, n in zip(answers, most, strict=True))
