"""kill -9 of a worker or of the coordinator: nothing journalled is asked again, and the end is as without a kill."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from autointerp import pipeline
from autointerp.config.loading import keep_dictionaries
from autointerp.engine.desk import Desk
from autointerp.engine.local import LocalEngine
from autointerp.errors import ArtefactError
from autointerp.progress import SilentProgress
from autointerp.runs.layout import RunLayout
from autointerp.seeds import unit_hash
from autointerp.stages import harvest, train
from tests.engine.asking_runs import asked_config, begin, journalled_by_any, start, wait_until, workers_of
from tests.integration.commands import answer
from tests.integration.conftest import World
from tests.integration.conftest import world as world
from tests.integration.world import LITTLE_TEXT
from tests.judges.fault_server import FaultServer

N_REQUESTS = 96
"""Sent by the scoring of all planted features."""


@pytest.fixture
def server():
    with FaultServer(answer=answer, delay_s=0.05) as server:
        yield server


def finish(run: RunLayout, coordinator: subprocess.Popen[bytes], server: FaultServer, tmp_path: Path) -> None:
    """The run ends, and as one process ends it."""
    _, errors = coordinator.communicate(timeout=240)
    assert coordinator.returncode == 0, errors.decode()
    whole = begin(tmp_path / "whole", server, n_features=None)
    n_asked = len(server.arrivals)
    pipeline.run(asked_config(server, "limits.reuse=false"), out=whole.root)
    assert len(server.arrivals) == n_asked
    for file in (run.scores, run.summary):
        assert file.read_bytes() == (whole.root / file.name).read_bytes()


def at(n_kills: int, number: int) -> int:
    """A random moment, in requests that arrived since the last."""
    return int(N_REQUESTS * 0.8 / n_kills * (0.6 + 0.8 * unit_hash("kill", n_kills, number)))


def wait_for_arrivals(server: FaultServer, n_more: int, coordinator: subprocess.Popen[bytes]) -> None:
    goal = len(server.bodies) + n_more
    wait_until(lambda: len(server.bodies) >= goal or coordinator.poll() is not None)


@pytest.mark.full
@pytest.mark.parametrize("n_kills", [1, 3])
def test_a_dead_workers_shard_goes_on_from_its_journal(server: FaultServer, tmp_path: Path, n_kills: int) -> None:
    run = begin(tmp_path / "run", server, "limits.max_concurrent=4", n_features=None)
    coordinator = start(run, tmp_path / "cache", "--workers", "2", "--no-reuse")
    n_repeated = n_kept = 0
    for number in range(n_kills):
        wait_for_arrivals(server, at(n_kills, number), coordinator)
        victim = workers_of(coordinator)[number % 2]
        victim.kill()
        kept, before = journalled_by_any(run), server.arrivals.copy()
        wait_for_arrivals(server, 8, coordinator)
        n_kept += len(kept)
        n_repeated += sum(server.arrivals[name] > before[name] for name in kept)
    assert n_kept > 0, "no kill came after the first flush: the test shows nothing"
    assert n_repeated == 0
    finish(run, coordinator, server, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("n_kills", [1, 10])
def test_a_dead_coordinators_run_goes_on_with_any_number_of_workers(
    server: FaultServer, tmp_path: Path, n_kills: int
) -> None:
    """Its workers end by themselves."""
    run = begin(tmp_path / "run", server, "limits.max_concurrent=4", n_features=None)
    n_repeated = 0
    for number in range(n_kills + 1):
        kept, before = journalled_by_any(run), server.arrivals.copy()
        coordinator = start(run, tmp_path / f"cache{number}", "--workers", str(1 + number % 3), "--no-reuse")
        if number < n_kills:
            wait_for_arrivals(server, at(n_kills, number), coordinator)
            workers = workers_of(coordinator)
            coordinator.send_signal(signal.SIGKILL)
            coordinator.wait()
            psutil.wait_procs(workers, timeout=60)
        else:
            finish(run, coordinator, server, tmp_path)
        n_repeated += sum(server.arrivals[name] > before[name] for name in kept)
    assert n_repeated == 0


@pytest.mark.full
def test_an_interrupted_coordinator_lets_its_workers_end_in_order_and_no_second_one_comes_between(
    server: FaultServer, tmp_path: Path
) -> None:
    run = begin(tmp_path / "run", server, "limits.max_concurrent=4", n_features=None)
    coordinator = start(run, tmp_path / "cache", "--workers", "2")
    wait_for_arrivals(server, 20, coordinator)
    with pytest.raises(ArtefactError, match="is being written by process"):
        pipeline.run(asked_config(server, "engine.workers=2", "limits.max_concurrent=4"), out=run.root)
    coordinator.send_signal(signal.SIGINT)
    _, errors = coordinator.communicate(timeout=60)
    assert coordinator.returncode == 130, errors.decode()
    assert errors.decode().strip() == (
        "error: interrupted by Ctrl-C; what is done is kept, the same command goes on from here"
    )
    # what was under way was waited for, and is kept
    assert journalled_by_any(run) == set(server.arrivals)


class DeadlyDesk(Desk):
    """Kills the worker of the first part when that notes how far it is, once."""

    def __init__(self, n_parts: int, *, number: int) -> None:
        super().__init__(n_parts)
        self.n_left, self.has_killed = number, False
        self.running: Any = None

    def note(self, part: int, *state: Any) -> bool:
        self.n_left -= part == 0
        if part == 0 and self.n_left == 0:
            self.has_killed = True
            self.running._workers[0].process.kill()
        return super().note(part, *state)


@pytest.mark.full
@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_worker_that_dies_in_training_or_harvest_changes_nothing(world: World, tmp_path: Path, number: int) -> None:
    """In the training and in both passes, where it tells `number` times how far it is."""
    config = keep_dictionaries(world.config(*LITTLE_TEXT, "train.activations='disk'"), ["neurons", "sae", "topk"])
    desks: list[DeadlyDesk] = []

    class Deadly(LocalEngine):
        def start(self, task: Any, parts: Any, desk: Desk, *, on_gpu: bool) -> Any:
            deadly = DeadlyDesk(desk.n_parts, number=number)
            deadly.running = super().start(task, parts, deadly, on_gpu=on_gpu)
            desks.append(deadly)
            return deadly.running

    left = {}
    for name in ("one", "two"):
        run = RunLayout(tmp_path / name)
        with Deadly(2) as engine:
            by = engine if name == "two" else None
            for stage in (train, harvest):
                stage.run(config, run, SilentProgress(), engine=by)
        left[name] = {str(f.relative_to(run.root)): f.read_bytes() for f in run.root.rglob("*") if f.is_file()}
    assert left["one"] == left["two"]
    assert any(desk.has_killed for desk in desks)
