"""A Ray cluster of several nodes on this machine: a node that dies, and a head that is started anew."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autointerp import pipeline
from autointerp.seeds import unit_hash
from tests.engine.asking_runs import asked_config, begin, journalled_by_any, start, wait_until
from tests.integration.commands import ROOT, answer
from tests.judges.fault_server import FaultServer

pytestmark = pytest.mark.full
cluster_utils = pytest.importorskip("ray.cluster_utils", reason="ray is not installed: pip install '.[ray]'")

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(answer=answer, delay_s=0.1) as server:
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the nodes inherit."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """A head without processors, where the coordinator and its desk are, and two nodes that work."""
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    for _ in range(2):
        cluster.add_node(**NODE)
    try:
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def by_ray(cluster: Any) -> tuple[str, ...]:
    return ("--engine", "ray", "--address", cluster.address, "--workers", "2", "--no-reuse")


def finish(coordinator: subprocess.Popen[bytes]) -> None:
    _, errors = coordinator.communicate(timeout=300)
    assert coordinator.returncode == 0, errors.decode()


@pytest.mark.parametrize("moment", range(3))
def test_a_nodes_shard_goes_on_at_another_node(server: FaultServer, tmp_path: Path, moment: int) -> None:
    run = begin(tmp_path / "run", server, "limits.max_concurrent=4", n_features=None)
    with ray_cluster() as cluster:
        coordinator = start(run, tmp_path / "cache", *by_ray(cluster))
        goal = int(10 + 60 * unit_hash("node", moment))
        wait_until(lambda: len(server.bodies) >= goal or coordinator.poll() is not None)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        kept, before = journalled_by_any(run), server.arrivals.copy()
        cluster.add_node(**NODE)
        finish(coordinator)
    assert not [name for name in kept if server.arrivals[name] > before[name]]
    whole = begin(tmp_path / "whole", server, n_features=None)
    pipeline.run(asked_config(server, "limits.reuse=false"), out=whole.root)
    for file in (run.scores, run.summary):
        assert file.read_bytes() == (whole.root / file.name).read_bytes()


def test_after_a_heads_end_the_same_command_goes_on(server: FaultServer, tmp_path: Path) -> None:
    run = begin(tmp_path / "run", server, "limits.max_concurrent=4", n_features=None)
    with ray_cluster() as cluster:
        coordinator = start(run, tmp_path / "cache", *by_ray(cluster))
        wait_until(lambda: len(server.bodies) >= 20 or coordinator.poll() is not None)
    coordinator.communicate(timeout=300)
    assert coordinator.returncode not in (0, None)
    kept, before = journalled_by_any(run), server.arrivals.copy()
    assert kept
    with ray_cluster() as cluster:
        finish(start(run, tmp_path / "cache2", *by_ray(cluster)))
    assert not [name for name in kept if server.arrivals[name] > before[name]]
