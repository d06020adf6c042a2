"""A server in a thread of its own, so that tests of one process, of subprocesses and of whole runs can share it.

    with SomeServer(...) as server:
        ... options = {"base_url": server.base_url} ...

What is served is said by a subclass: `FaultServer` (a chat endpoint that fails as told), `ChaosServer` (one that fails
in every way by plan, with a log), `BatchServer` (files and batches), `HostileServer` (any bytes).
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from types import TracebackType
from typing import Self

from aiohttp import web

__all__ = ["LocalServer"]

PATIENCE_S = 10


class LocalServer:
    """Up between `__enter__` and `__exit__`, at `base_url`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.base_url = ""
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        """What is served."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        host, port = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(timeout=PATIENCE_S)
        self.base_url = f"http{'s' if self._tls else ''}://{host}:{port}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=PATIENCE_S)
        self._loop.close()

    async def _open(self) -> tuple[str, int]:
        """Begin to serve; gives host and port."""
        self._runner = web.AppRunner(self.application(), handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        host, port = self._runner.addresses[0][:2]
        return host, port

    async def _close(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
