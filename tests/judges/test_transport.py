"""The way requests go out: no redirects, proxies of the environment, packed replies, failures that are ours."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from autointerp.batch.service import open_service
from autointerp.errors import ConfigError, JudgeRejected, JudgeRetry, JudgeStopped
from autointerp.judges.endpoint import transport
from autointerp.judges.endpoint.embedding import open_judge as open_embedding
from autointerp.judges.endpoint.openai import open_judge
from autointerp.judges.endpoint.transport import Proxy, find_proxy
from autointerp.judges.judge import Message, RateLimits, Reply, Request
from autointerp.judges.tasks import Passage, ScoreTask, SimilarityTask
from tests.judges.fault_server import Fault, FaultServer, Said, always, completion
from tests.judges.personalities import Kind
from tests.judges.questions import question

KEY = "sk-test-c7a1e2b45d904f63"
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("MY_KEY", KEY)


def ask(base_url: str, request: Request | None = None, **options: Any) -> Reply:
    async def inner() -> Reply:
        judge = open_judge("m", {"base_url": base_url, "key_env": "MY_KEY", **options})
        try:
            return await judge.ask(request or question())
        finally:
            await judge.aclose()

    return asyncio.run(inner())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_refused_and_the_key_withheld(status: int) -> None:
    with FaultServer(personality=Kind()) as other:
        there = f"{other.base_url}/chat/completions?seen={KEY}"
        elsewhere = lambda path, body: Said("", status=status, headers={"Location": there})  # noqa: E731
        with FaultServer(personality=elsewhere) as server, pytest.raises(JudgeStopped, match="redirects to") as caught:
            ask(server.base_url)
    assert other.seen == []
    assert other.base_url in str(caught.value)
    assert KEY not in str(caught.value)
    assert server.seen[0][1]["Authorization"] == f"Bearer {KEY}"


def test_a_redirect_within_a_host_is_not_followed_either() -> None:
    here = lambda path, body: Said("", status=308, headers={"Location": "/v1/elsewhere"})  # noqa: E731
    with FaultServer(personality=here) as server, pytest.raises(JudgeStopped, match="redirects to /v1/elsewhere"):
        ask(server.base_url)
    assert len(server.seen) == 1


def test_a_packed_reply_is_unpacked() -> None:
    long = "a word or two, " * 200
    with FaultServer(personality=lambda path, body: Said(completion(long), is_packed=True)) as server:
        assert ask(server.base_url).text == long
    assert "gzip" in server.seen[0][1]["Accept-Encoding"]


def test_a_reply_is_read_up_to_a_bound_however_it_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_MOST_BYTES", 2 << 20)
    packed = Said('{"choices": "' + " " * (8 << 20), is_packed=True)
    for server in (FaultServer(personality=lambda path, body: packed), FaultServer(plan=always(Fault("endless", 200)))):
        with server, pytest.raises(JudgeRetry, match="reply of more than 2 MiB"):
            ask(server.base_url)
        assert server.n_endless_bytes < 64 << 20, "the connection was left open"


@pytest.mark.parametrize(("status", "error"), [(500, JudgeRetry), (403, JudgeStopped), (400, JudgeRejected)])
def test_an_error_without_end_is_what_its_status_says(status: int, error: type[Exception]) -> None:
    with FaultServer(plan=always(Fault("endless", status=status))) as server, pytest.raises(error):
        ask(server.base_url)
    assert server.n_endless_bytes < 64 << 20, "the connection was left open"


def test_embeddings_are_read_up_to_the_same_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_MOST_BYTES", 2 << 20)

    async def inner(base_url: str) -> None:
        judge = open_embedding("m", {"base_url": base_url, "key_env": "MY_KEY"})
        try:
            await judge.ask(Request(SimilarityTask("a", (Passage("b"),)), (), max_tokens=1))
        finally:
            await judge.aclose()

    said = Said('{"data": "' + " " * (8 << 20))
    with (
        FaultServer(personality=lambda path, body: said) as server,
        pytest.raises(JudgeRetry, match="reply of more than 2 MiB"),
    ):
        asyncio.run(inner(server.base_url))


def test_a_reply_brings_its_rate_limits() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": "6m0s",
        "X-RateLimit-Remaining-Tokens": "1000",
    }
    with FaultServer(personality=lambda path, body: Said(completion("[1, 0]"), headers=headers)) as server:
        assert ask(server.base_url).rate_limits == RateLimits(9, 360.0, 1000, None)
    with FaultServer() as server:
        assert ask(server.base_url).rate_limits is None


@pytest.mark.parametrize(
    ("status", "is_overload"), [(429, True), (503, True), (504, True), (529, True), (408, True), (500, False)]
)
def test_overload_is_told_from_other_failures(status: int, is_overload: bool) -> None:
    with FaultServer(plan=always(Fault("status", status=status))) as server, pytest.raises(JudgeRetry) as caught:
        ask(server.base_url)
    assert caught.value.is_overload is is_overload


def test_a_time_out_is_overload_and_a_lost_connection_is_not() -> None:
    for kind, is_overload in (("hang", True), ("drop", False), ("truncated", False)):
        with FaultServer(plan=always(Fault(kind))) as server, pytest.raises(JudgeRetry) as caught:
            ask(server.base_url, timeout_s=0.1)
        assert (caught.value.is_overload, caught.value.is_connection) == (is_overload, False)


def test_an_address_where_nobody_listens_is_no_connection() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(JudgeRetry, match="no connection") as caught:
        ask(f"http://127.0.0.1:{port}/v1")
    assert caught.value.is_connection


def test_a_certificate_that_is_not_trusted_stops_the_run(tmp_path: Path) -> None:
    """It will not be any better the next time, and nothing has been sent."""
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", tmp_path / "key", "-out", tmp_path / "certificate"]
    made = subprocess.run(["openssl", *words.split(), *files], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("openssl makes no certificate here")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with FaultServer(personality=Kind(), tls=context) as server:
        base_url = server.base_url.replace("127.0.0.1", "localhost")
        with pytest.raises(JudgeStopped, match=r"certificate of localhost is not trusted .*SSL_CERT_FILE"):
            ask(base_url)
        assert server.seen == []
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate"))
            assert ask(base_url).finish == "stop"


def test_requests_go_through_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(personality=lambda path, body: Said(completion("by proxy"))) as proxy:
        address = proxy.base_url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@{address}")
        assert ask("http://judge.example/v1").text == "by proxy"
        _, headers = proxy.seen[0]
        assert headers["Host"] == "judge.example"
        assert headers["Proxy-Authorization"].startswith("Basic ")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        with FaultServer(personality=Kind()) as server:
            ask(server.base_url)
            assert len(server.seen) == 1
        assert len(proxy.seen) == 1


def test_a_proxy_does_not_see_the_key() -> None:
    """What goes through a tunnel is encrypted; the request for the tunnel is the proxy's to read."""
    seen: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def inner(who: str) -> None:
        proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HTTPS_PROXY", f"http://{who}127.0.0.1:{port}")
            judge = open_judge("m", {"base_url": "https://judge.example/v1", "key_env": "MY_KEY"})
        with pytest.raises(JudgeStopped, match=rf"the proxy http://127.0.0.1:{port} refuses \(407\)") as caught:
            await judge.ask(question())
        assert "secret" not in str(caught.value)
        await judge.aclose()
        proxy.close()

    for who in ("", "me:secret@"):
        asyncio.run(inner(who))
    assert all(head.startswith(b"CONNECT judge.example:443 ") and KEY.encode() not in head for head in seen)
    assert [b"Proxy-Authorization: Basic" in head for head in seen] == [False, True]


def test_proxies_are_found_as_the_environment_spells_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_proxy("https://judge.example/v1") is None
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    assert find_proxy("https://judge.example/v1") == Proxy("http://proxy.example:3128")
    assert find_proxy("http://judge.example/v1") is None
    monkeypatch.setenv("ALL_PROXY", "http://u%40x:p%3A@all.example:1")
    assert find_proxy("http://judge.example/v1") == Proxy("http://all.example:1", "u@x", "p:")
    monkeypatch.setenv("NO_PROXY", ".example")
    assert find_proxy("https://judge.example/v1") is None


def test_a_proxy_that_cannot_be_used_is_told_when_the_judge_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@proxy.example:1080")
    with pytest.raises(ConfigError, match="socks5:// proxy") as caught:
        open_judge("m", {"base_url": "http://judge.example/v1"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy",
    ["http://[::1", "http://proxy.example:port", "http://proxy.example:99999", "http://", "http://me:secret@", ":1"],
)
def test_a_proxy_that_is_no_address_is_one_line(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    for open_one in (
        lambda: open_judge("m", {"base_url": "http://judge.example/v1"}),
        lambda: open_service("openai:m", {"base_url": "https://judge.example/v1", "key_env": "MY_KEY"}),
    ):
        with pytest.raises(ConfigError, match=r"HTTP_PROXY of the environment is no address") as caught:
            open_one()
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_half_characters_go_out_as_they_are_stored() -> None:
    request = Request(ScoreTask("", ()), (Message("user", "half \ud83d and whole \U0001f600"),), max_tokens=5)
    with FaultServer(personality=Kind()) as server:
        ask(server.base_url, request)
    assert server.bodies[0]["messages"][0]["content"] == "half ? and whole \U0001f600"


def test_as_many_requests_are_under_way_as_the_options_allow() -> None:
    async def inner(server: FaultServer) -> None:
        judge = open_judge("m", {"base_url": server.base_url, "key_env": "", "max_concurrent": 150})
        await asyncio.gather(*(judge.ask(question(f"q{i}")) for i in range(150)))
        await judge.aclose()

    with FaultServer(delay_s=0.5) as server:
        asyncio.run(inner(server))
    assert server.most_at_once == 150


def test_certificates_are_verified() -> None:
    from autointerp.judges.endpoint.transport import _tls_context

    context = _tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
