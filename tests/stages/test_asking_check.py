"""Who is to be asked is greeted before anything that takes long, and only then: a dead endpoint costs no training."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from autointerp import pipeline
from autointerp.config.loading import load_config
from autointerp.config.tree import Config
from autointerp.errors import JudgeStopped
from autointerp.progress import SilentProgress
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import open_run
from tests.integration.commands import arguments, call, endpoint, one_line
from tests.judges.fault_server import Fault, FaultServer, always
from tests.judges.personalities import KINDS_OF_SERVER


class Began(Exception):
    """Work began."""


@pytest.fixture(autouse=True)
def no_stage_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def begin(name: str) -> Any:
        raise Began(name)

    monkeypatch.setattr(pipeline, "_stage", begin)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "k")


class Told(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def config(base_url: str, *more: str, **options: Any) -> Config:
    return load_config("demo", ["engine.workers=1", *endpoint(base_url, **options), *more])


def dead_port() -> str:
    """An address where nobody listens any more."""
    with FaultServer() as server:
        return server.base_url


def test_a_dead_port_ends_a_run_before_training_in_two_seconds_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ("run", "demo", "--out", tmp_path / "run", *arguments(*endpoint(dead_port())))
    took_s = []
    for _ in range(3):  # the first imports what speaks HTTP
        start = time.monotonic()
        called = call(capsys, *line)
        took_s.append(time.monotonic() - start)
        one_line(called, "cannot be reached", "check its address", code=3)
    assert min(took_s) < 2.0
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": {"message": "Incorrect API key"}}, "does not accept"),
        (404, {"error": {"message": "no such model"}}, "does not know model 'served'"),
        (402, {"error": {"message": "no money"}}, "no credits left"),
        (400, {"error": {"message": "unknown model served"}}, "refuses the plainest question to model 'served'"),
    ],
)
def test_a_wrong_key_or_model_is_told_before_training(tmp_path: Path, status: int, body: Any, said: str) -> None:
    with (
        FaultServer(plan=always(Fault("status", status=status, body=body))) as server,
        pytest.raises(JudgeStopped, match=said),
    ):
        pipeline.run(config(server.base_url), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry-After": "5"}), (503, {}), (500, {})])
def test_one_that_is_busy_is_there(tmp_path: Path, status: int, headers: dict[str, str]) -> None:
    fault = Fault("status", status=status, body={"error": {"message": "later"}}, headers=headers)
    with FaultServer(plan=always(fault)) as server, pytest.raises(Began):
        pipeline.run(config(server.base_url), out=tmp_path / "run")


def test_one_that_never_answers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autointerp.judges.endpoint.probing._SILENT_S", 0.01)
    told = Told()
    with (
        FaultServer(plan=always(Fault("hang"))) as server,
        pytest.raises(JudgeStopped, match=r"limits\.timeout_s = 0\.2"),
    ):
        pipeline.run(config(server.base_url, "limits.timeout_s=0.2"), out=tmp_path / "run", progress=told)
    assert any("waiting for" in line and "first small question" in line for line in told.lines)


def test_a_server_that_takes_no_temperature_is_probed_first(tmp_path: Path) -> None:
    told = Told()
    kind = KINDS_OF_SERVER["a reasoning model"]
    with FaultServer(personality=kind) as server, pytest.raises(Began):
        pipeline.run(config(server.base_url, probe="auto"), out=tmp_path / "run", progress=told)
    assert any("temperature refused" in line for line in told.lines)


def test_it_is_greeted_once_for_both_roles_and_only_where_training_comes_first(tmp_path: Path) -> None:
    both = "explain.judge='openai:served'"
    out = tmp_path / "run"
    with FaultServer() as server:
        with pytest.raises(Began):
            pipeline.run(config(server.base_url, both), out=out)
        assert len(server.bodies) == 1
        assert json.dumps(server.bodies[0]["messages"]).count("Say 1") == 1
        for last, more in (("harvest", []), ("report", ["score.judge='coin'"])):
            with pytest.raises(Began):
                pipeline.run(config(server.base_url, *more), out=tmp_path / last, last=last)
        assert len(server.bodies) == 1, "it was asked although it is not wanted"
        with pytest.raises(Began):
            pipeline.run(config(server.base_url, "limits.max_requests=0"), out=tmp_path / "prepared")
        assert len(server.bodies) == 1, "the ceiling was broken"
        trained = RunLayout(tmp_path / "trained")
        manifest = open_run(trained, config(server.base_url))
        for stage in ("train", "harvest"):
            manifest.finish(stage, {})
        with pytest.raises(Began, match="explain"):
            pipeline.run(config(server.base_url), out=trained.root)
        assert len(server.bodies) == 1, "the first real question comes at once and tells as much"


def test_what_is_done_is_not_asked_about(tmp_path: Path) -> None:
    """A finished run is opened again although its endpoint is gone."""
    layout = RunLayout(tmp_path / "run")
    gone = config(dead_port())
    manifest = open_run(layout, gone)
    for stage in pipeline.STAGES:
        manifest.finish(stage, {})
    assert pipeline.run(gone, out=layout.root).root == layout.root
    with pytest.raises(JudgeStopped, match="cannot be reached"):
        pipeline.run(gone, out=layout.root, first="train")
    with pytest.raises(JudgeStopped, match="cannot be reached"):
        pipeline.run(gone, out=layout.root, fresh=True)
    assert layout.manifest.is_file(), "it was deleted before the endpoint was asked"
