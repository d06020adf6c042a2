"""`serve` gives the run's page to this machine, whatever path is asked for, and to no name of somebody else."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from autointerp.board.summary import build_summary, write_summary
from autointerp.cli import board_commands, main
from autointerp.cli.page_server import serve_page
from autointerp.errors import ConfigError
from autointerp.pipeline import STAGES
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import open_run
from tests.stages.harvested import make_config

PAGE = b"<!doctype html>the page"


@pytest.fixture
def run(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path)
    write_summary(layout.summary, build_summary("empty", []))
    layout.report.write_bytes(PAGE)
    return layout


@pytest.fixture(scope="module")
def port() -> int:
    """The port of a server that lasts as long as the tests."""
    addresses: list[str] = []
    is_ready = threading.Event()

    def note(address: str) -> None:
        addresses.append(address)
        is_ready.set()

    threading.Thread(target=lambda: serve_page(PAGE, port=0, on_ready=note), daemon=True).start()
    assert is_ready.wait(timeout=60)
    return int(addresses[0].rstrip("/").rpartition(":")[2])


def answer(port: int, path: str, host: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": host})
    reply = connection.getresponse()
    return reply.status, reply.read()


@pytest.mark.parametrize("path", ["/", "/../../etc/passwd", "/report.html?x"])
@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:9", "[::1]:8000"])
def test_the_page_is_served_whatever_path_is_asked_for(port: int, path: str, host: str) -> None:
    assert answer(port, path, host) == (200, PAGE)


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example:8000", "localhost@elsewhere", ""])
def test_a_name_of_somebody_else_gets_nothing(port: int, host: str) -> None:
    status, body = answer(port, "/", host)
    assert status == 403
    assert PAGE not in body


def test_a_port_that_is_taken_is_one_line(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port}: .*choose another"):
            serve_page(PAGE, port=port, on_ready=lambda _: None)
        assert main._run(["serve", str(run.root), "--port", str(port)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_without_its_page_says_how_to_build_it(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = open_run(run, make_config())
    for stage in STAGES:
        manifest.finish(stage, {})
    run.report.unlink()
    assert main._run(["serve", str(run.root)]) == 2
    assert f"`autointerp report {run.root}` makes it anew" in capsys.readouterr().err


def test_serve_says_where(run: RunLayout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def served(page: bytes, *, port: int, on_ready: Callable[[str], None]) -> None:
        assert (page, port) == (PAGE, 8000)
        on_ready("http://127.0.0.1:8000/")

    monkeypatch.setattr(board_commands, "serve_page", served)
    assert main._run(["serve", str(run.root)]) == 0
    assert capsys.readouterr().out == "http://127.0.0.1:8000/ (Ctrl-C stops)\n"
