"""An endpoint that breaks in every way a network can, by plan, and keeps a log of its own of what came and what went.

What goes wrong with a request follows from its content and from how often it came before, so a run that is killed and
resumed meets the same faults as one that is not. The log is a file that is only ever appended to: one line when a
request arrives and one when a whole reply has been handed to the network.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from autointerp.seeds import derive, unit_hash
from tests.integration.commands import answer
from tests.judges.fault_server import completion, content_hash
from tests.local_server import LocalServer

__all__ = ["CALM", "STORM", "ChaosServer", "Event", "Weather"]

TRANSPORT = ("429", "500", "drop", "hang")
BODY = ("malformed", "truncated")
MOST_TRANSPORT, MOST_BODY = 3, 1


@dataclass(frozen=True, slots=True)
class Weather:
    """How often what goes wrong, as shares of all requests, and the shortest and longest pause a 429 asks for, spelled
    as a date every time or now and then."""

    shares: Mapping[str, float] = field(default_factory=dict)
    pause_s: tuple[float, float] = (0.2, 3.0)
    has_dates_only: bool = False

    def fault(self, name: str, n_before: int) -> str | None:
        """What goes wrong with the arrival after `n_before` others of the same content; limits are per content."""
        n_transport = n_body = 0
        kind: str | None = None
        for arrival in range(n_before + 1):
            kind = self._draw(name, arrival)
            if (kind in TRANSPORT and n_transport >= MOST_TRANSPORT) or (kind in BODY and n_body >= MOST_BODY):
                kind = None
            n_transport += kind in TRANSPORT
            n_body += kind in BODY
        return kind

    def pause(self, name: str, n_before: int) -> float:
        """All requests keep every pause, so most are short: one in sixteen is above a third of the longest."""
        least, most = self.pause_s
        return least * (most / least) ** (unit_hash("pause", name, n_before) ** 8)

    def _draw(self, name: str, arrival: int) -> str | None:
        at = unit_hash("chaos", name, arrival)
        for kind, share in self.shares.items():
            if at < share:
                return kind
            at -= share
        return None


MUMBLED = ("Certainly! I would say the first one fires.", '{"answers": [1, 0, 1, 1, 0, 1, 0, 0, 1', "[0.5] [maybe]")
"""Replies that come whole and are paid for, but hold no answer; a third of what is malformed is of this kind."""

CALM = Weather()
STORM = Weather(
    {
        "429": 0.10,
        "500": 0.05,
        "drop": 0.02,
        "hang": 0.02,
        "malformed": 0.05,
        "truncated": 0.01,
        "no usage": 0.05,
    }
)


class Event(NamedTuple):
    """A line of the log. `what` is `arrival` or, for a whole reply that was paid for, `sent`; `fault` is what went
    wrong with it, None for nothing."""

    at_s: float
    what: str
    name: str
    fault: str | None


class ChaosServer(LocalServer):
    """The server; `events` reads its log. It answers after `delay_s`, which may be changed while it runs."""

    def __init__(self, log: Path, *, weather: Weather = CALM, delay_s: float = 0.005) -> None:
        super().__init__()
        self.delay_s = delay_s
        self._weather = weather
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._path = log
        self.arrivals = Counter[str]()

    def events(self) -> list[Event]:
        """All that is in the log."""
        return [Event(*json.loads(line)) for line in self._path.read_text().splitlines()]

    @property
    def n_arrivals(self) -> int:
        return self.arrivals.total()

    def application(self) -> web.Application:
        application = web.Application(client_max_size=2**26)
        application.router.add_post("/v1/chat/completions", self._serve)
        return application

    async def _close(self) -> None:
        await super()._close()
        os.close(self._log)

    def _note(self, what: str, name: str, fault: str | None) -> None:
        os.write(self._log, (json.dumps([time.monotonic(), what, name, fault]) + "\n").encode())

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = content_hash(body)
        n_before = self.arrivals[name]
        fault = self._weather.fault(name, n_before)
        self._note("arrival", name, fault)
        self.arrivals[name] += 1
        await asyncio.sleep(self.delay_s)
        # a question asked once more gets the answer of the first time, whatever was said in between
        question = {"messages": body["messages"][:2]}
        good, is_first = completion(answer(question)), len(body["messages"]) == 2
        choice = derive(0, "form", name, n_before)
        if fault == "malformed" and is_first and choice % 3 == 0:
            good, fault = completion(MUMBLED[choice % len(MUMBLED)]), "mumbled"
        if fault in (None, "no usage", "mumbled"):
            if fault == "no usage":
                del good["usage"]
            response = web.json_response(good)
            await response.prepare(request)
            await response.write_eof()
            self._note("sent", name, fault)
            return response
        return await self._fail(request, str(fault), json.dumps(good), choice, name, n_before)

    async def _fail(
        self, request: web.Request, fault: str, good: str, choice: int, name: str, n_before: int
    ) -> web.StreamResponse:
        if fault == "429":
            spelling = 1 if self._weather.has_dates_only else choice % 4
            headers = _retry_after(self._weather.pause(name, n_before), spelling)
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers=headers)
        if fault == "500":
            if choice % 2:
                return web.Response(text="<html>502 Bad Gateway</html>", status=502, content_type="text/html")
            return web.json_response({"error": {"message": "on purpose"}}, status=500)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "truncated":
            return await _break_off(request, good, is_chunked=bool(choice % 2))
        if fault == "malformed":
            forms = (good[: len(good) // 2], "<html>busy</html>", "{}", "", "null", '{"choices": []}', good[1:])
            return web.Response(text=forms[choice % len(forms)], content_type="application/json")
        _hang_up(request)
        return web.Response()


def _retry_after(pause_s: float, spelling: int) -> dict[str, str]:
    """The three spellings of a pause. A date has whole seconds, and counts by the server's own clock."""
    if spelling == 0:
        return {"retry-after-ms": f"{pause_s * 1000:.0f}"}
    if spelling == 1 and pause_s > 1.0:
        return {"Retry-After": email.utils.formatdate(time.time() + pause_s, usegmt=True)}
    return {"Retry-After": f"{pause_s:.3f}"}


async def _break_off(request: web.Request, text: str, *, is_chunked: bool) -> web.StreamResponse:
    """Announce a whole reply, send half of it, and hang up."""
    raw = text.encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    if is_chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(raw)
    await response.prepare(request)
    await response.write(raw[: len(raw) // 2])
    _hang_up(request)
    return response


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()
