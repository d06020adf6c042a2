"""Signals at scattered moments of a run: the first lets what is in flight come home, the second ends at once.

Small siblings of the long ones are in tests/chaos/test_signals.py.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from autointerp.runs.layout import RunLayout
from autointerp.seeds import unit_hash
from tests.attack.hostile_server import Hostile, HostileServer
from tests.chaos.client import start, words
from tests.chaos.reading import read_replies, results_of
from tests.chaos.run_source import save_source

pytestmark = pytest.mark.full

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
N_SIGNALS = 40
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_source(tmp_path_factory.mktemp("signals") / "source", n_features=1)


def wait_for(server: HostileServer, process: subprocess.Popen[str], n_arrivals: int) -> bool:
    """Until so many requests have come; whether the process still runs then."""
    end = time.monotonic() + LIMIT_S
    while server.n_arrivals < n_arrivals and process.poll() is None:
        assert time.monotonic() < end, "hangs"
        time.sleep(0.002)
    return process.poll() is None


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what was said; fails instead of hanging."""
    _, said = process.communicate(timeout=LIMIT_S)
    return process.returncode, said


@pytest.mark.parametrize("number", range(N_SIGNALS))
def test_what_is_in_flight_at_a_signal_is_kept(number: int, source: Path, tmp_path: Path) -> None:
    which = SIGNALS[number % len(SIGNALS)]
    run = RunLayout(tmp_path / "run")
    with HostileServer(Hostile, every=10**9, delay_s=0.05) as server:
        line = words(source, run.root, server.base_url, cache=tmp_path / "cache")
        process = start(line)
        if wait_for(server, process, 1 + int(60 * unit_hash("signal", number))):
            process.send_signal(which)
        code, said = end(process)
        assert code in (0, 3, 128 + which), said
        assert "Traceback" not in said
        n_sent = server.sent.copy()
        kept = set(read_replies(run.journal, tmp_path / "copy").values())
        assert set(n_sent) == kept, "a reply that came home is not in the journal"
        code, said = end(start(line))
        assert code == 0, said
        assert set(server.sent.values()) == {1}, "a paid reply was asked for again"


@pytest.mark.parametrize("which", SIGNALS)
def test_a_second_signal_ends_at_once(which: signal.Signals, source: Path, tmp_path: Path) -> None:
    run = RunLayout(tmp_path / "run")
    with HostileServer(lambda good: Hostile(hangs=True)) as server:
        process = start(words(source, run.root, server.base_url, cache=tmp_path / "cache", timeout_s=50.0))
        assert wait_for(server, process, 1)
        process.send_signal(which)
        time.sleep(0.2)
        begin = time.monotonic()
        while process.poll() is None and time.monotonic() < begin + 10:
            process.send_signal(which)
            time.sleep(0.1)
        code, said = end(process)
        assert code in (3, 128 + which, -which), said
        assert "Traceback" not in said
        assert time.monotonic() - begin < 10


def test_interrupted_runs_end_with_the_results_of_a_calm_one(source: Path, tmp_path: Path) -> None:
    calm, torn = RunLayout(tmp_path / "calm" / "run"), RunLayout(tmp_path / "torn" / "run")
    with HostileServer(Hostile, every=10**9, delay_s=0.01) as server:
        code, said = end(start(words(source, calm.root, server.base_url, cache=tmp_path / "calm-cache")))
        assert code == 0, said
        for number in range(3):
            process = start(words(source, torn.root, server.base_url, cache=tmp_path / f"cache{number}"))
            if wait_for(server, process, server.n_arrivals + 25):
                process.send_signal(SIGNALS[number])
            code, said = end(process)
        code, said = end(start(words(source, torn.root, server.base_url, cache=tmp_path / "cache")))
        assert code == 0, said
    assert results_of(torn, tmp_path / "copy") == results_of(calm, tmp_path / "copy")
    assert torn.summary.read_bytes() == calm.summary.read_bytes()
