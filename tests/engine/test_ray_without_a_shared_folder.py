"""A Ray cluster whose nodes share no folder: the run is at an address, and each worker has a copy of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.config.loading import keep_dictionaries
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.remote import open_out, open_run
from tests.engine.asking_runs import asked_config, begin
from tests.integration.commands import answer
from tests.integration.conftest import World
from tests.integration.conftest import world as world
from tests.integration.world import LITTLE_TEXT
from tests.judges.fault_server import FaultServer

pytestmark = pytest.mark.full
cluster_utils = pytest.importorskip("ray.cluster_utils", reason="ray is not installed: pip install '.[ray]'")
pytest.importorskip("fsspec", reason="fsspec is not installed: pip install '.[remote]'")

NODE = {"object_store_memory": 80_000_000, "include_dashboard": False}


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of a cluster of a head that only coordinates and two nodes that work, with caches of their own."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    for number in (1, 2):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"node{number}"))
        cluster.add_node(**NODE, num_cpus=1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "coordinator"))
    try:
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


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
