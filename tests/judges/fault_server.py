"""A local OpenAI-compatible server for tests: it counts what it is asked and fails on purpose where told to.

It runs in a thread of its own, so tests of one process, of subprocesses and of whole runs can share it:

    with FaultServer(plan=a_third_fails) as server:
        ... options = {"base_url": server.base_url} ...
        assert server.n_requests("...") == 1
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from autointerp.seeds import derive, unit_hash
from tests.local_server import LocalServer

__all__ = ["KINDS", "Fault", "FaultServer", "Said", "a_share_fails", "always", "completion", "content_hash"]

KINDS = ("429", "500", "hang", "truncated", "empty", "prose", "drop")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong. `kind` is one of `KINDS`, `status` (send `status` and `body`), `body` (send `raw`) or `endless`
    (send a body with `status` that has no end)."""

    kind: str
    status: int = 500
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a personality answers, whole."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    is_packed: bool = False
    """Compressed with gzip."""


Personality = Callable[[str, dict[str, Any]], Said]
"""Given the path below `/v1` and a request's body, what a kind of server answers."""

Plan = Callable[[dict[str, Any], int], Fault | None]
"""Given a request's body and how often this content was asked before, what goes wrong with it."""


def content_hash(body: Mapping[str, Any]) -> str:
    """Names a request by what was asked."""
    return hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).hexdigest()[:16]


def a_share_fails(share: float, *, kinds: tuple[str, ...] = KINDS, retry_after: str = "0.01", most: int = 3) -> Plan:
    """Each call fails with probability `share`, by a hash of its content and number; `most` times per content."""

    def plan(body: dict[str, Any], n_before: int) -> Fault | None:
        name = content_hash(body)
        if n_before >= most or unit_hash("fault", name, n_before) >= share:
            return None
        kind = kinds[derive(0, "kind", name, n_before) % len(kinds)]
        return Fault(kind, headers={"Retry-After": retry_after} if kind == "429" else {})

    return plan


def always(fault: Fault) -> Plan:
    """Every call fails in the same way."""
    return lambda body, n_before: fault


def completion(text: str, *, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "served-model",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


class FaultServer(LocalServer):
    """The server, up between `__enter__` and `__exit__`. `answer` makes the reply's text from the request's body."""

    def __init__(
        self,
        *,
        plan: Plan | None = None,
        answer: Callable[[dict[str, Any]], str] = lambda body: "[1, 0]",
        key: str | None = None,
        delay_s: float = 0.0,
        personality: Personality | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls=tls)
        self._personality = personality
        self._plan, self._answer, self._key, self._delay_s = plan, answer, key, delay_s
        self.models: list[dict[str, Any]] | None = None
        """What it says it serves; None has no list of models."""
        self.bodies: list[dict[str, Any]] = []
        """The requests in order of arrival."""
        self.seen: list[tuple[str, dict[str, str]]] = []
        """Path with query, and headers, of the requests in order of arrival."""
        self.arrivals = Counter[str]()
        self.answered = Counter[str]()
        """How often each content arrived, and how often it got a faultless reply, by `content_hash`."""
        self.n_faults = Counter[str]()
        self.n_at_once = self.most_at_once = 0
        self.n_endless_bytes = 0
        """How much of bodies without end was taken."""

    def application(self) -> web.Application:
        application = web.Application(client_max_size=2**26)
        if self._personality is None:
            application.router.add_post("/v1/chat/completions", self._serve)
        else:
            application.router.add_post("/{path:.*}", self._speak)
        application.router.add_get("/v1/models", self._list)
        return application

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if self.models is None:
            return web.json_response({"error": {"message": "Not Found"}}, status=404)
        return web.json_response({"object": "list", "data": self.models})

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        assert self._personality is not None
        body = await request.json()
        self.bodies.append(body)
        self.seen.append((request.path_qs, dict(request.headers)))
        said = self._personality(request.path.removeprefix("/v1"), body)
        raw = said.body if isinstance(said.body, str) else json.dumps(said.body)
        response = web.Response(text=raw, status=said.status, headers=dict(said.headers))
        response.content_type = "application/json"
        if said.is_packed:
            response.enable_compression(web.ContentCoding.gzip)
        return response

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append((request.path_qs, dict(request.headers)))
        if self._key is not None and request.headers.get("Authorization") != f"Bearer {self._key}":
            said = f"Incorrect API key provided: {request.headers.get('Authorization', '')}"
            return web.json_response({"error": {"code": "invalid_api_key", "message": said}}, status=401)
        name = content_hash(body)
        fault = self._plan(body, self.arrivals[name]) if self._plan is not None else None
        self.bodies.append(body)
        self.arrivals[name] += 1
        self.n_at_once += 1
        self.most_at_once = max(self.most_at_once, self.n_at_once)
        try:
            await asyncio.sleep(self._delay_s)
            if fault is not None:
                self.n_faults[fault.kind] += 1
                return await self._fail(request, fault, completion(self._answer(body)))
            self.answered[name] += 1
            return web.json_response(completion(self._answer(body)))
        finally:
            self.n_at_once -= 1

    async def _fail(self, request: web.Request, fault: Fault, right: dict[str, Any]) -> web.StreamResponse:
        if fault.kind in ("429", "500", "status"):
            status = fault.status if fault.kind == "status" else int(fault.kind)
            body = fault.body or {"error": {"message": "on purpose", "code": None}}
            return web.json_response(body, status=status, headers=dict(fault.headers))
        if fault.kind == "endless":
            return await self._send_on(request, fault.status)
        if fault.kind == "hang":
            await asyncio.sleep(3600)
        if fault.kind == "drop":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if fault.kind == "truncated":
            raw = json.dumps(right)
            return web.Response(text=raw[: len(raw) // 2], content_type="application/json")
        if fault.kind == "body":
            return web.Response(text=fault.raw, content_type="application/json")
        text = {"empty": "", "prose": "Certainly! I would say the first one fires."}[fault.kind]
        return web.json_response(completion(text))

    async def _send_on(self, request: web.Request, status: int) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        await response.prepare(request)
        part = b'{"choices": [' + b" " * 65_536
        with suppress(ConnectionError):
            while True:
                await response.write(part)
                self.n_endless_bytes += len(part)
        return response
