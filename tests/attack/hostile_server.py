"""An endpoint that answers with whatever bytes a mode says, and counts the replies that a client would pay for."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.integration.commands import answer
from tests.judges.fault_server import completion, content_hash
from tests.local_server import LocalServer

__all__ = ["MODES", "Hostile", "HostileServer"]

NESTED = "[" * 100_000 + "]" * 100_000
DIGITS = "9" * 400
ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202eevil"
MEGABYTE = "x" * 2**20


@dataclass(frozen=True, slots=True)
class Hostile:
    """One raw answer. `raw` goes out as it is (a body of JSON is rendered from `body`)."""

    body: Any = None
    raw: bytes | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    is_endless: bool = False
    is_cut: bool = False
    hangs: bool = False

    def payload(self) -> bytes:
        return self.raw if self.raw is not None else json.dumps(self.body).encode()


Mode = Callable[[dict[str, Any]], Hostile]
"""Given the good reply to a request, what comes instead."""


def _reply(change: Callable[[dict[str, Any]], object]) -> Mode:
    """The good reply with one thing changed."""

    def mode(good: dict[str, Any]) -> Hostile:
        change(good)
        return Hostile(good)

    return mode


def _raw(text: str, **options: Any) -> Mode:
    return lambda good: Hostile(raw=text.encode("utf-8", "surrogatepass"), **options)


def _spliced(name: str, text: str) -> Mode:
    """The good reply with the JSON of one top-level field replaced by raw text."""

    def mode(good: dict[str, Any]) -> Hostile:
        good[name] = "SPLICE"
        return Hostile(raw=json.dumps(good).replace('"SPLICE"', text).encode())

    return mode


def _usage(**counts: Any) -> Mode:
    return _reply(lambda good: good["usage"].update(counts))


def _choice(**fields: Any) -> Mode:
    return _reply(lambda good: good["choices"][0].update(fields))


def _message(**fields: Any) -> Mode:
    return _reply(lambda good: good["choices"][0]["message"].update(fields))


def _top_logprobs(entry: Any) -> Mode:
    return _choice(logprobs={"content": [{"token": "1", "logprob": -0.1, "top_logprobs": entry}]})


def _error(status: int, error: Any, **headers: str) -> Mode:
    return lambda good: Hostile({"error": error}, status=status, headers=headers)


def _slow_down(value: str, name: str = "Retry-After") -> Mode:
    return _error(429, {"message": "slow down"}, **{name: value})


def _limits(value: str) -> Mode:
    """A good reply whose rate-limit headers say something odd."""
    names = ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "x-ratelimit-remaining-tokens")
    return lambda good: Hostile(good, headers=dict.fromkeys(names, value))


MODES: dict[str, Mode] = {
    # bodies that are no completion
    "empty body": _raw(""),
    "null": _raw("null"),
    "list": _raw("[]"),
    "text": _raw('"hello"'),
    "number": _raw("1"),
    "not a number": _raw("NaN"),
    "html": _raw("<html>502</html>"),
    "half of the JSON": lambda good: Hostile(raw=json.dumps(good).encode()[:60]),
    "byte order mark": lambda good: Hostile(raw=b"\xef\xbb\xbf" + json.dumps(good).encode()),
    "latin-1": lambda good: Hostile(raw=json.dumps(good).encode()[:-2] + b', "x": "\xe9"}'),
    "nested": _raw(NESTED),
    "nested in a field": _spliced("system_fingerprint", NESTED),
    "digits": _spliced("created", DIGITS),
    "infinity": _spliced("created", "1e999"),
    "half a character": _spliced("id", '"\\ud800"'),
    "null character": _spliced("id", '"\\u0000"'),
    "two megabytes": _spliced("id", json.dumps(MEGABYTE * 2)),
    "duplicate keys": lambda good: Hostile(raw=json.dumps(good).encode()[:-1] + b', "choices": null}'),
    "events": lambda good: Hostile(raw=b"data: " + json.dumps(good).encode() + b"\n\ndata: [DONE]\n\n"),
    "gzip that is none": lambda good: Hostile(good, headers={"Content-Encoding": "gzip"}),
    "gzip bomb": lambda good: Hostile(
        raw=gzip.compress(b" " * 300 * 2**20, compresslevel=9), headers={"Content-Encoding": "gzip"}
    ),
    "unknown encoding": lambda good: Hostile(good, headers={"Content-Encoding": "zstd-x"}),
    "endless body": lambda good: Hostile(raw=b" " * 65536, is_endless=True),
    "cut body": lambda good: Hostile(good, is_cut=True),
    "never answers": lambda good: Hostile(hangs=True),
    "garbage after the JSON": lambda good: Hostile(raw=json.dumps(good).encode() + b"}}]"),
    "utf-16": lambda good: Hostile(raw=json.dumps(good).encode("utf-16")),
    # completions with odd fields
    "a tool call": _message(content=None, tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}]),
    "two choices": _reply(lambda good: good["choices"].append({"index": 1, "message": None})),
    "answers too many": _message(content='{"answers": [1, 0, 1, 1, 0, 1, 0, 0, 1]}'),
    "no choices": _reply(lambda good: good.update(choices=[])),
    "choices null": _reply(lambda good: good.update(choices=None)),
    "choices a number": _reply(lambda good: good.update(choices=3)),
    "choices of null": _reply(lambda good: good.update(choices=[None])),
    "no message": _reply(lambda good: good["choices"][0].pop("message")),
    "message a list": _choice(message=[]),
    "content null": _message(content=None),
    "content a number": _message(content=7),
    "content of parts": _reply(
        lambda good: good["choices"][0]["message"].update(
            content=[{"type": "text", "text": good["choices"][0]["message"]["content"]}]
        )
    ),
    "content empty": _message(content=""),
    "content with half a character": _message(content='{"answers": [1]} \ud800'),
    "content with a null character": _message(content='{"answers": [\u00001]}'),
    "content with escapes": _message(content=ESCAPES),
    "content of a megabyte": _message(content=MEGABYTE),
    "refusal": _message(content=None, refusal="I cannot help with that."),
    "refusal a list": _message(content=None, refusal=[1]),
    "finish null": _choice(finish_reason=None),
    "finish a number": _choice(finish_reason=3),
    "finish error": _choice(finish_reason="error"),
    "finish unknown": _choice(finish_reason="because"),
    "finish length": _choice(finish_reason="length"),
    "error in the choice": _choice(error={"code": 502, "message": "provider failed"}),
    "error beside choices": _reply(lambda good: good.update(error={"message": "provider failed"})),
    "error only": lambda good: Hostile({"error": {"message": "provider failed", "code": "x" * 500}}),
    "network error": _choice(native_finish_reason="network_error", finish_reason="stop"),
    "no usage": _reply(lambda good: good.pop("usage")),
    "usage null": _reply(lambda good: good.update(usage=None)),
    "usage a list": _reply(lambda good: good.update(usage=[1, 2])),
    "usage below zero": _usage(prompt_tokens=-5, completion_tokens=-27),
    "usage of text": _usage(prompt_tokens="many"),
    "usage of fractions": _usage(prompt_tokens=1.5),
    "usage beyond the journal": _usage(prompt_tokens=2**64 - 1),
    "usage of digits": _spliced("usage", '{"prompt_tokens": ' + DIGITS + ', "completion_tokens": 1}'),
    "cached beyond the journal": _usage(prompt_tokens_details={"cached_tokens": 2**64 - 1}),
    "cached text": _usage(prompt_tokens_details="none"),
    "cost absurd": _usage(cost=1e308),
    "cost below zero": _usage(cost=-27),
    "cost not a number": _spliced("usage", '{"prompt_tokens": 100, "completion_tokens": 10, "cost": NaN}'),
    "cost infinite": _spliced("usage", '{"prompt_tokens": 100, "completion_tokens": 10, "cost": Infinity}'),
    "cost of text": _usage(cost="free"),
    "model a number": _reply(lambda good: good.update(model=5)),
    "model with escapes": _reply(lambda good: good.update(model=ESCAPES)),
    "model of a megabyte": _reply(lambda good: good.update(model=MEGABYTE)),
    "model another each time": _reply(lambda good: good.update(model=str(id(good)))),
    "logprobs a list": _choice(logprobs=[1]),
    "logprobs null content": _choice(logprobs={"content": None}),
    "logprobs of numbers": _choice(logprobs={"content": [1, 2]}),
    "top_logprobs null": _top_logprobs(None),
    "top_logprobs a map": _top_logprobs({"a": -1}),
    "top_logprobs null token": _top_logprobs([{"token": None, "logprob": -1}]),
    "top_logprobs infinite": _top_logprobs([{"token": "1", "logprob": -1e999}]),
    "top_logprobs above zero": _top_logprobs([{"token": "1", "logprob": 700.0}]),
    "top_logprobs of text": _top_logprobs([{"token": "1", "logprob": "-1"}]),
    # errors
    **{
        f"status {status}": _error(status, {"message": f"status {status} {ESCAPES}", "code": "x"})
        for status in (400, 402, 403, 404, 408, 409, 413, 418, 422, 429, 451, 500, 502, 503, 504, 520, 529, 599)
    },
    "status 204": lambda good: Hostile(raw=b"", status=204),
    "status 299": lambda good: Hostile(good, status=299),
    "status 304": lambda good: Hostile(raw=b"", status=304),
    "status 999": lambda good: Hostile({"error": {"message": "?"}}, status=999),
    "error a string": _error(400, "no"),
    "error a list": _error(400, [1, [2]]),
    "error a number": _error(500, 5),
    "error nested": lambda good: Hostile(raw=NESTED.encode(), status=500),
    "error of a megabyte": _error(500, {"message": MEGABYTE}),
    "error with half a character": lambda good: Hostile(raw=b'{"error": {"message": "\\ud800"}}', status=400),
    "error code a map": _error(400, {"message": "no", "code": {"a": 1}}),
    "no credit": _error(402, {"message": "pay", "code": "insufficient_quota"}),
    "out of quota": _error(429, {"message": "You exceeded your quota", "code": "insufficient_quota"}),
    "redirect away": lambda good: Hostile(raw=b"", status=307, headers={"Location": "http://127.0.0.1:9/steal"}),
    "redirect to itself": lambda good: Hostile(raw=b"", status=302, headers={"Location": "/v1/chat/completions"}),
    "redirect to a file": lambda good: Hostile(raw=b"", status=301, headers={"Location": "file:///etc/passwd"}),
    # pauses and rate limits
    "pause 0": _slow_down("0"),
    "pause below zero": _slow_down("-1"),
    "pause in the past": _slow_down("Wed, 21 Oct 2015 07:28:00 GMT"),
    "pause unreadable": _slow_down("soon"),
    "pause nan": _slow_down("nan"),
    "pause infinite": _slow_down("inf"),
    "pause of digits": _slow_down(DIGITS),
    "pause of a year": _slow_down("31536000"),
    "pause ms below zero": _slow_down("-5", "retry-after-ms"),
    "limits dates": _limits("2015-10-21T07:28:00Z"),
    "limits infinite": _limits("inf"),
    "limits below zero": _limits("-3"),
    "limits of digits": _limits(DIGITS),
    "limits unreadable": _limits("a while"),
    # heads
    "no status line": lambda good: Hostile(raw=b"RAW:hello\r\n\r\n"),
    "head of a megabyte": lambda good: Hostile(good, headers={"X-Big": MEGABYTE}),
    "thousand heads": lambda good: Hostile(good, headers={f"X-{number}": "y" for number in range(1000)}),
    "length too small": lambda good: Hostile(good, headers={"Content-Length": "10"}),
    "length too large": lambda good: Hostile(good, headers={"Content-Length": "100000"}, is_cut=True),
    "length below zero": lambda good: Hostile(good, headers={"Content-Length": "-1"}),
    "content type image": lambda good: Hostile(good, headers={"Content-Type": "image/png"}),
    "charset unknown": lambda good: Hostile(good, headers={"Content-Type": "application/json; charset=klingon"}),
    "cookie": lambda good: Hostile(good, headers={"Set-Cookie": "a=b; Domain=.example.org"}),
}


class HostileServer(LocalServer):
    """The server. Every `every`-th arrival gets the mode's answer.

    `sent` counts by content the good replies that went out whole.
    """

    def __init__(self, mode: Mode, *, every: int = 1, delay_s: float = 0.0) -> None:
        super().__init__()
        self._mode, self._every, self._delay_s = mode, every, delay_s
        self._server: asyncio.Server | None = None
        self.arrivals, self.sent = Counter[str](), Counter[str]()
        self.n_arrivals = 0

    async def _open(self) -> tuple[str, int]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        serving = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        if serving:
            await asyncio.wait(serving, timeout=1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length")), 0)
        raw = await reader.readexactly(length)
        body = json.loads(raw) if raw else {"messages": []}
        name = content_hash(body)
        self.arrivals[name] += 1
        self.n_arrivals += 1
        await asyncio.sleep(self._delay_s)
        good = completion(answer({"messages": body["messages"][:2]})) if body["messages"] else {}
        if self.n_arrivals % self._every:
            await self._send(writer, Hostile(good))
            self.sent[name] += 1
            return True
        hostile = self._mode(good)
        if hostile.hangs:
            await asyncio.sleep(3600)
        return await self._send(writer, hostile)

    async def _send(self, writer: asyncio.StreamWriter, hostile: Hostile) -> bool:
        payload = hostile.payload()
        if payload.startswith(b"RAW:"):
            writer.write(payload[4:])
            return False
        headers = {"Content-Type": "application/json", "Content-Length": str(len(payload))}
        if hostile.is_endless:
            headers.pop("Content-Length")
        headers |= hostile.headers
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        writer.write(f"HTTP/1.1 {hostile.status} Said\r\n{lines}\r\n".encode("latin-1"))
        if hostile.is_cut:
            writer.write(payload[: len(payload) // 2])
            await writer.drain()
            return False
        writer.write(payload)
        await writer.drain()
        while hostile.is_endless:
            writer.write(payload)
            await writer.drain()
        return True
