"""`serve` as it is called."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from autointerp.cli import board_commands, main
from autointerp.run import Run
from tests.stages.harvested import make_config, make_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        make_run(tmp_path / name, make_config(name=name), n_features=1)
    return tmp_path


def test_serve_says_where(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def served(found: Mapping[str, Run], *, port: int, on_ready: Callable[[str], None], **_: Any) -> None:
        assert (list(found), port) == (["a", "b"], 8000)
        on_ready("http://127.0.0.1:8000/")

    monkeypatch.setattr(board_commands, "serve_runs", served)
    assert main._run(["serve", str(runs)]) == 0
    assert capsys.readouterr().out == "http://127.0.0.1:8000/ (Ctrl-C stops)\n"


def test_what_cannot_be_served_is_one_line(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words, told in (
            ([str(runs), "--port", port], f"--port {port}: "),
            ([str(runs / "a"), str(runs / "b"), "--rate", "ann"], "--rate ann: one run is rated at a time"),
            ([str(runs / "a" / "evidence")], "is no run and holds none;"),
        ):
            assert main._run(["serve", *words]) == 2
            said = capsys.readouterr().err
            assert told in said and said.count("\n") == 1
