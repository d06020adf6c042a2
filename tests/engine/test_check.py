"""`engine check`: what is there, what is missing, and at which worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp.config.engine import EngineConfig
from autointerp.engine.check import check_engine
from autointerp.runs.remote import open_out, reach_of
from tests.integration.commands import call


def test_a_worker_that_lacks_a_key_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE", "x")
    findings = check_engine(EngineConfig(workers=2), tmp_path / "runs", ("THERE", "NOT_THERE"))
    missing = [finding for finding in findings if finding.state == "missing"]
    assert [finding.what for finding in missing] == ["worker 1", "worker 2"]
    assert all("the variable NOT_THERE is not set" in finding.detail for finding in missing)
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("is_up", [True, False])
def test_workers_are_asked_whether_they_reach_an_address(
    is_up: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = open_out(f"file://{tmp_path}/store/runs")
    if not is_up:
        monkeypatch.setattr("autointerp.runs.remote.address_of", lambda _: "nonsense://store/runs")
    findings = check_engine(EngineConfig(workers=2), root, reach=reach_of(root))
    assert [f.state for f in findings if f.what.startswith("worker ")] == (["ok"] if is_up else ["missing"]) * 2


def test_a_cluster_that_is_not_there_is_told_in_one_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")
    words = ("engine", "check", "--engine", "ray", "--address", "127.0.0.1:9", "--out", tmp_path, "--json")
    called = call(capsys, *words)
    findings = {finding["what"]: finding for finding in json.loads(called.out)}
    assert called.code == 2
    assert findings["ray"]["state"] == "ok"
    assert "the Ray cluster at 127.0.0.1:9 does not answer" in findings["workers"]["detail"]


def test_this_process_alone_lacks_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    called = call(capsys, "engine", "check", "--out", tmp_path)
    assert called.code == 0
    assert "this process (engine.workers = 1)" in called.out


def test_an_address_without_ray_is_the_users_error(capsys: pytest.CaptureFixture[str]) -> None:
    called = call(capsys, "run", "demo", "--address", "head:6379")
    assert called.code == 2
    assert "set kind = 'ray' or leave it out" in called.err and len(called.err.splitlines()) == 1
