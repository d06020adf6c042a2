"""A server of one page for this machine alone; it reads no file, whatever the path."""

from __future__ import annotations

from collections.abc import Callable

from autointerp.loopback import Answer, open_server

__all__ = ["serve_page"]


def serve_page(page: bytes, *, port: int, on_ready: Callable[[str], None]) -> None:
    """Answer every GET with the page until interrupted; `on_ready` gets the address. Raises ConfigError for an unusable
    port."""
    with open_server(port, get=lambda _: Answer("text/html; charset=utf-8", page)) as server:
        on_ready(f"http://127.0.0.1:{server.server_port}/")
        server.serve_forever()
