"""A web server for this machine alone: other hosts' names and other pages' scripts get nothing."""

from __future__ import annotations

import http.server
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from autointerp.errors import ConfigError

__all__ = ["Answer", "open_server"]

_OWN_NAMES = {"127.0.0.1", "localhost", "[::1]"}
_LARGEST_POST = 1_000_000  # bytes


class Answer(NamedTuple):
    """What is sent back; `policy` is the page's Content-Security-Policy, if it states none itself."""

    kind: str
    body: bytes
    policy: str | None = None


Get = Callable[[str], Answer | None]
Post = Callable[[str, bytes], Answer | None]
"""From a path, and what was posted, to an answer; None is 404."""


def open_server(port: int, *, get: Get, post: Post | None = None) -> http.server.ThreadingHTTPServer:
    """A server to close and to run (`serve_forever`); `port` 0 is any that is free. Raises ConfigError for an unusable
    port.
    """
    try:
        return _Server(("127.0.0.1", port), _handler(get, post))
    except OSError as error:
        raise ConfigError(f"--port {port}: {error.strerror}; choose another, or 0 for any that is free") from None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a browser that goes away is no news
            super().handle_error(request, client_address)


def _handler(get: Get, post: Post | None) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self._is_from_here():
                self._send(get(self.path.partition("?")[0]))

        def do_POST(self) -> None:
            if not self._is_from_here():
                return
            # a form or a script of another page cannot send this type without asking first
            is_json = self.headers.get("Content-Type", "").partition(";")[0].strip() == "application/json"
            length = self.headers.get("Content-Length", "")
            if post is None or not is_json or not length.isdecimal() or int(length) > _LARGEST_POST:
                self.send_error(400, "not understood")
                return
            self._send(post(self.path, self.rfile.read(int(length))))

        def _is_from_here(self) -> bool:
            # A page elsewhere may point its own name at this address; its script must not read the run. Nor may it ask
            # under our name for what is done here: a browser says where a question comes from.
            host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
            if _is_own(host) and origin in (None, f"http://{host}"):
                return True
            self.send_error(403, "this page is served to this machine only, under its own name")
            return False

        def _send(self, answer: Answer | None) -> None:
            if answer is None:
                self.send_error(404, "there is no such page")
                return
            self.send_response(200)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            # no page elsewhere may load this as its script or show it in a frame
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.send_header("X-Frame-Options", "DENY")
            if answer.policy is not None:
                self.send_header("Content-Security-Policy", answer.policy)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler


def _is_own(host: str) -> bool:
    """Whether a Host header names this machine, with any port (for tunnels)."""
    name, colon, port = host.lower().rpartition(":")
    return (name if colon and port.isdecimal() else host.lower()) in _OWN_NAMES
