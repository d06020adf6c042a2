"""A Ray cluster whose nodes share no folder: the run is at an address, and each worker has a copy of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from autointerp import pipeline
from autointerp.config.loading import keep_dictionaries
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.remote import open_out, open_run
from autointerp.runs.shards import Shard
from tests.engine.asking_runs import asked_config, begin, journalled_by_any, wait_until
from tests.integration.commands import ROOT, answer, command
from tests.integration.conftest import World
from tests.integration.conftest import world as world
from tests.integration.world import LITTLE_TEXT
from tests.judges.fault_server import FaultServer
from tests.judges.journalled import journalled

pytestmark = pytest.mark.full
cluster_utils = pytest.importorskip("ray.cluster_utils", reason="ray is not installed: pip install '.[ray]'")
pytest.importorskip("fsspec", reason="fsspec is not installed: pip install '.[remote]'")

NODE = {"object_store_memory": 80_000_000, "include_dashboard": False}


HURRIED = """
from autointerp.runs import keeping
keeping.PUT_S, keeping._REST = 0.1, 1
"""
"""What every process of a node begins with."""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A head that only coordinates and two nodes that work, with caches of their own."""
    (tmp_path / "sitecustomize.py").write_text(HURRIED)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    for number in (1, 2):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"node{number}"))
        cluster.add_node(**NODE, num_cpus=1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "coordinator"))
    try:
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture
def address(cluster: Any) -> str:
    return cluster.address


def by_ray(address: str) -> tuple[str, ...]:
    return ("engine.kind=ray", f"engine.address='{address}'", "engine.workers=2")


def is_equal(a: RunLayout, b: RunLayout) -> bool:
    return all(getattr(a, name).read_bytes() == getattr(b, name).read_bytes() for name in ("scores", "summary"))


def copies(tmp_path: Path, node: str) -> set[str]:
    """Names of the shards that a machine has worked on."""
    return {path.name for path in tmp_path.glob(f"{node}/autointerp/remote/*/*/shards/*")}


def test_workers_ask_on_evidence_they_fetch_and_put_their_journals(address: str, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store/big"
    with FaultServer(answer=answer, delay_s=0.05) as server:
        whole = begin(tmp_path / "whole", server, n_features=None)
        root = open_out(url)
        with RunLock(RunLayout(root).lock):
            shutil.copytree(whole.root, root, dirs_exist_ok=True)
        run = pipeline.run(asked_config(server, "limits.reuse=false", *by_ray(address)), out=root)
        assert copies(tmp_path, "node1") | copies(tmp_path, "node2") == {"1-of-2", "2-of-2"}
        n_asked = len(server.arrivals)
        pipeline.run(asked_config(server, "limits.reuse=false"), out=whole.root)
        assert len(server.arrivals) == n_asked
    assert is_equal(run, whole)
    assert is_equal(RunLayout(tmp_path / "store/big"), whole)
    assert not (tmp_path / "store/big/shards").exists() or not list((tmp_path / "store/big/shards").rglob("*.*"))


def test_a_dead_nodes_shard_goes_on_at_another_from_what_it_had_put(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, there = f"file://{tmp_path}/store/big", RunLayout(tmp_path / "store/big")
    with FaultServer(answer=answer, delay_s=0.2) as server:
        limits = ("limits.reuse=false", "limits.max_concurrent=4")
        whole = begin(tmp_path / "whole", server, *limits, n_features=None)
        root = open_out(url)
        with RunLock(RunLayout(root).lock):
            shutil.copytree(whole.root, root, dirs_exist_ok=True)
        options = ("--engine", "ray", "--address", cluster.address, "--workers", "2", "--no-reuse", "--json")
        words = command("run", whole.config, "--out", url, *options)
        coordinator = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(lambda: all(is_journalled(there, n) for n in (1, 2)) or coordinator.poll() is not None)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        kept, before = journalled_by_any(RunLayout(copied(there, tmp_path))), server.arrivals.copy()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node3"))
        cluster.add_node(**NODE, num_cpus=1)
        _, errors = coordinator.communicate(timeout=240)
        assert coordinator.returncode == 0, errors.decode()
        assert kept
        assert not [name for name in kept if server.arrivals[name] > before[name]]
        assert server.arrivals.total() > before.total(), "the node died too late: the test shows nothing"
        pipeline.run(asked_config(server, *limits), out=whole.root)
    assert is_equal(there, whole)


def is_journalled(run: RunLayout, number: int) -> bool:
    """Whether replies of the shard were put."""
    journal = RunLayout(run.root, shard=Shard(count=2, number=number)).journal
    return journal.is_file() and bool(journalled(Path(shutil.copy(journal, journal.parents[4])), model="served"))


def copied(run: RunLayout, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run.root, tmp_path / "copied", ignore=shutil.ignore_patterns(".*")))


def test_training_and_harvest_need_no_shared_folder(world: World, address: str, tmp_path: Path) -> None:
    def config(*overrides: str):
        chosen = world.config(*LITTLE_TEXT, "train.activations='stream'", *overrides)
        return keep_dictionaries(chosen, ["neurons", "sae", "topk"])

    url = f"file://{tmp_path}/store/big"
    run = pipeline.run(config(*by_ray(address)), out=open_out(url), last="harvest")
    whole = pipeline.run(config(), out=tmp_path / "whole", last="harvest")
    for file in sorted(whole.evidence.iterdir()):
        assert (run.evidence / file.name).read_bytes() == file.read_bytes()
    there = RunLayout(open_run(url))
    assert sorted(path.name for path in there.evidence.iterdir()) == sorted(p.name for p in whole.evidence.iterdir())
