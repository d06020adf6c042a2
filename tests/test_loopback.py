"""A server for this machine alone: it answers to its own names, and to its own pages."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from autointerp.errors import ConfigError
from autointerp.loopback import Answer, open_server

PAGE = b"<!doctype html>the page"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server that gives the page for `/page`, and what is posted back for `/echo`."""

    def get(path: str) -> Answer | None:
        return Answer("text/html; charset=utf-8", PAGE) if path == "/page" else None

    def post(path: str, body: bytes) -> Answer | None:
        return Answer("application/json", body) if path == "/echo" else None

    with open_server(0, get=get, post=post) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def answer(port: int, path: str, *, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(
        "GET" if body is None else "POST", path, body, {k.replace("_", "-"): v for k, v in headers.items()}
    )
    return connection.getresponse()


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:9", "[::1]:8000"])
def test_its_own_names_get_the_page(port: int, host: str):
    reply = answer(port, "/page?x", Host=host)
    assert (reply.status, reply.read()) == (200, PAGE)


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example:8000", "localhost@elsewhere", ""])
@pytest.mark.parametrize("body", [None, b"{}"])
def test_a_name_of_somebody_else_gets_nothing(port: int, host: str, body: bytes | None):
    reply = answer(port, "/page" if body is None else "/echo", body=body, Host=host, **JSON)
    assert reply.status == 403
    assert PAGE not in reply.read()


@pytest.mark.parametrize(
    "origin", ["http://elsewhere.example", "http://localhost:3000", "https://localhost:80", "null"]
)
@pytest.mark.parametrize("body", [None, b"{}"])
def test_a_page_of_somebody_else_gets_nothing(port: int, origin: str, body: bytes | None):
    path = "/page" if body is None else "/echo"
    assert answer(port, path, body=body, Host="localhost:80", Origin=origin, **JSON).status == 403
    assert answer(port, path, body=body, Host="localhost:80", Origin="http://localhost:80", **JSON).status == 200


def test_nobody_elses_page_may_load_or_frame_what_it_gives(port: int):
    reply = answer(port, "/page", Host="localhost")
    assert reply.getheader("Cross-Origin-Resource-Policy") == "same-origin"
    assert reply.getheader("X-Frame-Options") == "DENY"
    assert reply.getheader("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_can_send_is_not_understood(port: int, kind: str):
    assert answer(port, "/echo", body=b"{}", Host="localhost", Content_Type=kind).status == 400


def test_a_port_that_is_taken_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port}: .*choose another"):
            open_server(port, get=lambda _: None)
