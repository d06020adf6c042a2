"""Whole runs against servers that answer with anything: no traceback, no hang, nothing paid that the journal lacks."""

from __future__ import annotations

import json
import math
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autointerp.judges.engine import client
from autointerp.judges.engine.schedule import RetrySchedule
from autointerp.runs.layout import RunLayout
from tests.attack.hostile_server import MODES, HostileServer
from tests.chaos.reading import read_replies
from tests.chaos.run_source import save_source
from tests.integration.commands import Called, arguments, call, endpoint

LIMIT_S = 60
QUICK = {
    ("choices of null", 1),
    ("choices of null", 3),
    ("usage beyond the journal", 3),
    ("pause below zero", 3),
    ("nested in a field", 3),
}
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
CONTROL_BUT_STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = save_source(tmp_path_factory.mktemp("hostile") / "source", n_features=1)
    config = RunLayout(root).config  # fewer questions, of several windows each: 280 runs are made of it
    config.write_text(config.read_text().replace("windows_per_request = 1", "windows_per_request = 5"))
    return root


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that answers nothing is given up after seconds instead of minutes."""
    schedule = partial(RetrySchedule, first_delay_s=0.05, silent_after_s=3.0, dead_after_s=1.0, max_pause_s=5.0)
    monkeypatch.setattr(client, "RetrySchedule", schedule)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail instead of hanging."""

    def give_up(number: int, frame: object) -> None:
        raise AssertionError(f"hangs for {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def rescore(capsys: pytest.CaptureFixture[str], source: Path, out: Path, base_url: str) -> Called:
    chosen = arguments(
        *endpoint(base_url, timeout_s=0.5),
        "explain.judge='openai:served'",
        "limits.max_concurrent=8",
        "limits.max_attempts=2",
    )
    return call(capsys, "rescore", source, "--out", out, "--json", "--cache", out.parent / "cache", *chosen)


def modes() -> list[Any]:
    """Each way to answer, every time and every third time."""
    return [
        pytest.param(
            *(name, every),
            id=f"{name}, every {every}",
            marks=[pytest.mark.full] * ((name, every) not in QUICK),
        )
        for name in MODES
        for every in (1, 3)
    ]


@pytest.mark.parametrize(("name", "every"), modes())
def test_a_hostile_server_costs_no_paid_reply_and_no_traceback(
    name: str, every: int, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunLayout(tmp_path / "run")
    with at_most(LIMIT_S), HostileServer(MODES[name], every=every) as server:
        called = rescore(capsys, source, run.root, server.base_url)
        sent = dict(server.sent)
    assert called.code in (0, 2, 3), called.err
    assert "Traceback" not in called.err
    assert len(called.err.strip().splitlines()) <= (1 if called.code else 40), called.err
    for text in (called.out, called.err, run.log.read_text(encoding="utf-8") if run.log.exists() else ""):
        assert not CONTROL.search(CONTROL_BUT_STYLE.sub("", text.replace("\r", ""))), text[:500]
    kept = set(read_replies(run.journal, tmp_path / "copy").values())
    assert set(sent) <= kept, f"{len(set(sent) - kept)} good replies were paid and are not in the journal"
    if called.code == 0:
        check_summary(json.loads(run.summary.read_text(encoding="utf-8")))


def check_summary(summary: dict[str, Any]) -> None:
    """Something was scored, and every number is finite."""
    assert any(entry["n_scored"] for entry in summary["entries"]), "exit 0 with nothing scored"
    for value in numbers(summary):
        assert math.isfinite(value)
    assert all(0 <= entry["usd"] < 1 for entry in summary["entries"] if entry["usd"] is not None)


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, float):
        yield value
