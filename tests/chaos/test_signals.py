"""Signals to a run that waits for replies: what is under way is journalled, and nothing that came is asked again."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from autointerp.runs.layout import RunLayout
from tests.chaos.client import start, words
from tests.chaos.conftest import Calm
from tests.chaos.reading import read_replies, results_of
from tests.chaos.server import ChaosServer
from tests.integration.commands import call, one_line


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.full)]
)
def test_a_run_that_is_interrupted_loses_and_repeats_nothing(
    calm: Calm, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, code: int
) -> None:
    run = RunLayout(tmp_path / "run")
    with ChaosServer(tmp_path / "log", delay_s=0.3) as server:
        line = words(calm.source, run.root, server.base_url, cache=tmp_path / "cache")
        process = start(line)
        while server.n_arrivals < 30:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.002)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert "interrupted by" in errors and "Traceback" not in errors
        kept = read_replies(run.journal, tmp_path / "copy")
        assert len(kept) == server.n_arrivals < calm.n_requests
        server.delay_s = 0.0
        # a cache of its own: what is not asked again must be in the journal
        again = words(calm.source, run.root, server.base_url, cache=tmp_path / "another")
        assert call(capsys, *again).code == 0
        assert set(server.arrivals.values()) == {1}
    assert results_of(run, tmp_path / "copy") == results_of(calm.run, tmp_path / "copy")


def test_a_second_signal_ends_it_at_once(calm: Calm, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunLayout(tmp_path / "run")
    with ChaosServer(tmp_path / "log", delay_s=3600.0) as server:
        line = words(calm.source, run.root, server.base_url, cache=tmp_path / "cache")
        process = start(line)
        while server.n_arrivals < 1:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGTERM
        assert "Traceback" not in errors
        assert read_replies(run.journal, tmp_path / "copy") == {}
        one_line(call(capsys, *line, "--max-requests", "0"), "limits.max_requests", code=3)  # nothing is in the way
