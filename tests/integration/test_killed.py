"""kill -9 while a whole run is scoring: nothing journalled is asked again, and the end is as without a kill."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from autointerp.runs.layout import RunLayout
from autointerp.seeds import unit_hash
from tests.integration.commands import answer, arguments, command, endpoint, environment
from tests.integration.conftest import World
from tests.judges.fault_server import FaultServer
from tests.judges.journalled import journalled

N_REQUESTS = 128
"""About as many as scoring the evidence of two dictionaries sends."""


def start(world: World, out: Path, base_url: str, cache: Path) -> subprocess.Popen[bytes]:
    words = command(
        *("rescore", world.few.root, "--out", out, "--cache", cache, "--json"),
        *arguments(*endpoint(base_url), "limits.max_concurrent=4"),
    )
    return subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill_after(process: subprocess.Popen[bytes], server: FaultServer, n_more: int) -> None:
    """Let `n_more` requests arrive, then kill -9."""
    goal = len(server.bodies) + n_more
    deadline = time.monotonic() + 120
    while len(server.bodies) < goal and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("n_kills", [1, pytest.param(10, marks=pytest.mark.full)])
def test_a_killed_run_goes_on_where_it_was(world: World, tmp_path: Path, n_kills: int) -> None:
    out = tmp_path / "killed"
    journal = RunLayout(out).journal
    n_kept, n_repeated, last = 0, 0, set[str]()
    with FaultServer(answer=answer, delay_s=0.02) as server:
        for number in range(n_kills + 1):
            kept, before = journalled(journal, model="served"), server.arrivals.copy()
            assert kept >= last, "a kill lost what was journalled"
            last = kept
            # a cache of its own in every round: what is not asked again must be in the journal
            process = start(world, out, server.base_url, tmp_path / f"cache{number}")
            if number < n_kills:
                share = 0.8 / n_kills * (0.6 + 0.8 * unit_hash("kill", n_kills, number))
                kill_after(process, server, int(N_REQUESTS * share))
            else:
                _, errors = process.communicate(timeout=120)
                assert process.returncode == 0, errors.decode()
                n_kept = len(kept)
            n_repeated += sum(server.arrivals[name] > before[name] for name in kept)
        assert n_kept > 0, "no kill came after the first flush: the test shows nothing"
        assert n_repeated == 0
        n_distinct = len(server.arrivals)
        assert len(journalled(journal, model="served")) == n_distinct
    with FaultServer(answer=answer) as server:
        whole = world.rescored(tmp_path / "whole", "name='killed'", *endpoint(server.base_url), source=world.few)
        assert len(server.arrivals) == n_distinct
    assert RunLayout(out).scores.read_bytes() == whole.scores.read_bytes()
