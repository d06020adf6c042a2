"""Head start for a prefix's first request, to fill the endpoint's prefix cache. A prefix is a prompt's first
message.
"""

from __future__ import annotations

import asyncio

__all__ = ["Warmup"]

_MAX_PREFIXES = 64
"""With more first messages than this, prompts evidently share none."""


class Warmup:
    """Lets one request per prefix go first; for one event loop."""

    def __init__(self) -> None:
        self._under_way: dict[int, asyncio.Future[None]] = {}
        self._warm: set[int] = set()

    async def wait(self, prefix: str) -> int | None:
        """Wait for the prefix's first request. Pass the result to `finish`."""
        name = hash(prefix)
        if name in self._warm or len(self._warm) >= _MAX_PREFIXES:
            return None
        first = self._under_way.get(name)
        if first is None:
            self._under_way[name] = asyncio.get_running_loop().create_future()
            return name
        await asyncio.shield(first)
        return None

    def finish(self, name: int | None) -> None:
        if name is not None:
            self._warm.add(name)
            self._under_way.pop(name).set_result(None)
