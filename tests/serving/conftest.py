"""Servers of this machine over the runs of the site's tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from autointerp.loopback import open_server
from autointerp.progress import SilentProgress
from autointerp.run import Run
from autointerp.serving.starting import open_service
from tests.site.conftest import visit, world

__all__ = ["served", "visit", "world"]

Served = Callable[[Mapping[str, Run]], str]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Serves runs until the test ends; gives the address."""
    with ExitStack() as stack:

        def serve(runs: Mapping[str, Run]) -> str:
            service = open_service(runs, tmp_path / "pages", title="Served", progress=SilentProgress())
            server = stack.enter_context(open_server(0, get=service.get, post=service.post))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield serve
