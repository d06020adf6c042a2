"""A wall clock that jumps by up to a day while a run goes on changes no result and holds nothing up."""

from __future__ import annotations

import subprocess
import sys
from email.utils import formatdate
from pathlib import Path

import pytest

from autointerp.judges.endpoint.rate_limits import retry_after_s
from autointerp.runs.layout import RunLayout
from tests.chaos.client import words
from tests.chaos.conftest import Calm
from tests.chaos.reading import read_table, results_of
from tests.chaos.server import STORM, ChaosServer, Weather
from tests.integration.commands import environment

JUMPING = """
from tests.chaos.jumping_clock import N_READ, start_jumping
start_jumping()
from autointerp.cli.main import _run
code = _run(__import__("sys").argv[1:])
print("read", next(N_READ))
raise SystemExit(code)
"""


@pytest.mark.parametrize("off_s", [-86_400.0, 0.0, 86_400.0])
def test_a_pause_until_a_date_is_reckoned_by_the_servers_clock(off_s: float) -> None:
    now = 1_800_000_000.0
    headers = {"retry-after": formatdate(now + 7, usegmt=True), "date": formatdate(now, usegmt=True)}
    assert retry_after_s(headers, now=now + off_s) == 7.0
    del headers["date"]
    assert retry_after_s(headers, now=now + off_s) == (None if off_s > 7.0 else 7.0 - off_s)


@pytest.mark.full
def test_a_jumping_clock_stalls_nothing_and_changes_nothing(calm: Calm, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shares = STORM.shares | {"hang": 0.0, "429": 0.04}
    weather = Weather(shares, (1.001, 1.1), has_dates_only=True)  # a date is told from a jumping clock, if from any
    with ChaosServer(tmp_path / "log", weather=weather) as server:
        line = words(calm.source, out, server.base_url, cache=tmp_path / "cache", timeout_s=60.0)
        # a wait by the wall clock would last up to a day; the limit is a hundred times what the run needs
        done = subprocess.run(
            [sys.executable, "-c", JUMPING, *line],
            capture_output=True,
            text=True,
            env=environment(),
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert any(event.fault == "429" for event in server.events())
    n_read = int(done.stdout.split()[-1])
    assert n_read > calm.n_requests, "the clock was hardly read: the test shows nothing"
    stamps = [at for (at,) in read_table(RunLayout(out).journal, tmp_path / "copy", "replies", "at")]
    assert max(stamps) - min(stamps) > 80_000, "the journal's times show no jump"
    assert results_of(RunLayout(out), tmp_path / "copy") == results_of(calm.run, tmp_path / "copy")
