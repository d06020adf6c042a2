"""A server of one page for this machine alone; it reads no file, whatever the path."""

from __future__ import annotations

import http.server
import sys
from collections.abc import Callable
from typing import Any

from autointerp.errors import ConfigError

__all__ = ["serve_page"]

_OWN_NAMES = {"127.0.0.1", "localhost", "[::1]"}


def serve_page(page: bytes, *, port: int, on_ready: Callable[[str], None]) -> None:
    """Answer every GET with the page until interrupted; `on_ready` gets the address. Raises ConfigError for an unusable
    port."""
    try:
        server = _Server(("127.0.0.1", port), _handler(page))
    except OSError as error:
        raise ConfigError(f"--port {port}: {error.strerror}; choose another, or 0 for any that is free") from None
    with server:
        on_ready(f"http://127.0.0.1:{server.server_port}/")
        server.serve_forever()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a browser that goes away is no news
            super().handle_error(request, client_address)


def _handler(page: bytes) -> type[http.server.BaseHTTPRequestHandler]:
    class PageHandler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not _is_own(self.headers.get("Host", "")):
                self.send_error(403, "this page is served to this machine only, under its own name")
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            return

    return PageHandler


def _is_own(host: str) -> bool:
    """Whether a Host header names this machine, with any port (for tunnels)."""
    # A page elsewhere may point its own name at this address; its script must not read the run.
    name, colon, port = host.lower().rpartition(":")
    return (name if colon and port.isdecimal() else host.lower()) in _OWN_NAMES
