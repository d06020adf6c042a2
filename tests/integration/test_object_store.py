"""Whole runs at an address: killed and gone on with on another machine, and a store that is down meanwhile.

Of two stores: a folder, and a local server of S3's protocol, which needs packages that are not among the extras:
pip install s3fs 'moto[server]'.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autointerp import pipeline
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.remote import open_out, open_run
from tests.engine.asking_runs import asked_config, begin, journalled_by_any, wait_until
from tests.integration.commands import ROOT, Called, answer, environment, one_line
from tests.judges.fault_server import FaultServer
from tests.sae_core.processes import free_port

pytest.importorskip("fsspec", reason="fsspec is not installed: pip install '.[remote]'")

HURRIED = """
from autointerp.runs import keeping
from autointerp.cli.main import main
keeping.PUT_S, keeping.STALE_S, keeping._REST = 0.1, 0.5, 1
main()
"""
KILLED_BEFORE_SCORING = """
import os
from autointerp import pipeline
from autointerp.cli.main import main
from autointerp.runs.manifest import read_manifest
from autointerp.runs.layout import RunLayout
put_back = pipeline.put_back
def put_and_die(root):
    put_back(root)
    if "explain" in read_manifest(RunLayout(root))["stages"]:
        os.kill(os.getpid(), 9)
pipeline.put_back = put_and_die
main()
"""
KEYS = {"AWS_ACCESS_KEY_ID": "the-id", "AWS_SECRET_ACCESS_KEY": "the-secret", "AWS_DEFAULT_REGION": "us-east-1"}


class FolderStore:
    """A folder, which is moved away while the store is down."""

    def __init__(self, root: Path) -> None:
        self.url, self._root = f"file://{root}/runs/big", root
        self.up()

    def up(self) -> None:
        if self._root.is_file():
            self._root.unlink()
            self._root.with_name("moved").rename(self._root)
        self._root.mkdir(parents=True, exist_ok=True)

    def down(self) -> None:
        self._root.rename(self._root.with_name("moved"))
        self._root.write_text("down")


class S3Store:
    """A server in a process of its own; it forgets everything while it is down."""

    url = "s3://bucket/runs/big"

    def __init__(self, port: int, make_bucket: Callable[[], object]) -> None:
        self._words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self._port, self._make_bucket = port, make_bucket
        self.up()

    def up(self) -> None:
        self._process = subprocess.Popen(self._words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: is_listening(self._port))
        self._make_bucket()

    def down(self) -> None:
        self._process.kill()
        self._process.wait()


Store = FolderStore | S3Store


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.full)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param == "folder":
        yield FolderStore(tmp_path / "store")
        return
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: pip install '.[remote]'")
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    port = free_port()
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}).items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()  # they know another address
    store = S3Store(port, lambda: s3fs.S3FileSystem().mkdir("bucket"))
    try:
        yield store
    finally:
        store.down()


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(answer=answer, delay_s=0.1) as server:
        yield server


def put_harvested(store: Store, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunLayout:
    """A harvested run at the address; the folder it was made in."""
    whole = begin(tmp_path / "whole", server, "limits.max_concurrent=4", n_features=None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "maker"))
    root = open_out(store.url)
    with RunLock(RunLayout(root).lock):
        shutil.copytree(whole.root, root, dirs_exist_ok=True)
    return whole


def start(whole: RunLayout, store: Store, machine: Path, *options: str, program: str = HURRIED) -> subprocess.Popen:
    words = ["run", whole.config, "--out", store.url, "--cache", machine / "replies", "--no-reuse", "--json", *options]
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        # with the packages that this process has
        env=environment(XDG_CACHE_HOME=str(machine), PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path])),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> Called:
    out, err = process.communicate(timeout=240)
    return Called(process.returncode, out, err)


def fetched(store: Store, machine: Path, monkeypatch: pytest.MonkeyPatch) -> RunLayout:
    monkeypatch.setenv("XDG_CACHE_HOME", str(machine))
    return RunLayout(open_run(store.url))


def is_as_in_a_folder(whole: RunLayout, store: Store, tmp_path: Path, server: FaultServer, monkeypatch: Any) -> None:
    n_asked = len(server.arrivals)
    pipeline.run(asked_config(server, "limits.max_concurrent=4", "limits.reuse=false"), out=whole.root)
    assert len(server.arrivals) == n_asked
    run = fetched(store, tmp_path / "reader", monkeypatch)
    for file in (run.scores, run.summary):
        assert file.read_bytes() == (whole.root / file.name).read_bytes()


def replies_there(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Requests whose replies were put, of the run or of its shards."""
    there = fetched(store, tmp_path / "looker", monkeypatch)
    return journalled_by_any(there)


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.full)])
def test_a_run_killed_while_it_asks_goes_on_on_another_machine(
    store: Store, workers: str, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = put_harvested(store, server, tmp_path, monkeypatch)
    first = start(whole, store, tmp_path / "first", "--workers", workers)
    wait_until(lambda: bool(replies_there(store, tmp_path, monkeypatch)) or first.poll() is not None)
    assert first.poll() is None, "nothing was put while it asked: the test shows nothing"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    kept, before = replies_there(store, tmp_path, monkeypatch), server.arrivals.copy()
    done = finish(start(whole, store, tmp_path / "second"))
    assert done.code == 0, done.err
    assert not [name for name in kept if server.arrivals[name] > before[name]]
    is_as_in_a_folder(whole, store, tmp_path, server, monkeypatch)


@pytest.mark.full
def test_a_run_killed_between_stages_goes_on_on_another_machine(
    store: Store, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = put_harvested(store, server, tmp_path, monkeypatch)
    first = finish(start(whole, store, tmp_path / "first", program=KILLED_BEFORE_SCORING))
    assert first.code == -signal.SIGKILL, first.err
    there = fetched(store, tmp_path / "looker", monkeypatch)
    assert '"explain"' in there.manifest.read_text()
    done = finish(start(whole, store, tmp_path / "second"))
    assert done.code == 0, done.err
    is_as_in_a_folder(whole, store, tmp_path, server, monkeypatch)


@pytest.mark.full
def test_two_coordinators_are_refused_and_no_key_is_told(
    store: Store, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = put_harvested(store, server, tmp_path, monkeypatch)
    plain = "from autointerp.cli.main import main; main()"
    first = start(whole, store, tmp_path / "first", program=plain)
    wait_until(lambda: len(server.bodies) >= 10 or first.poll() is not None)
    first.send_signal(signal.SIGSTOP)
    second = finish(start(whole, store, tmp_path / "second", program=plain))
    first.send_signal(signal.SIGCONT)
    one_line(second, f"run {store.url} is being written by process {first.pid} on")
    done = finish(first)
    assert done.code == 0, done.err
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    told = b"".join([*texts, *(text.encode() for text in (*done, *second) if isinstance(text, str))])
    assert not [key for key in (b"the-id", b"the-secret") if key in told]


def test_a_store_that_is_down_costs_one_line_and_nothing_else(
    store: Store, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = put_harvested(store, server, tmp_path, monkeypatch)
    first = start(whole, store, tmp_path / "first")
    wait_until(lambda: len(server.bodies) >= 20 or first.poll() is not None)
    store.down()
    failed = finish(first)
    store.up()
    one_line(failed, f"{store.url} cannot be used (", "what is done is kept in", "the same command", code=3)
    n_asked = len(server.bodies)
    done = finish(start(whole, store, tmp_path / "first"))
    assert done.code == 0, done.err
    assert len(server.bodies) == n_asked
    is_as_in_a_folder(whole, store, tmp_path, server, monkeypatch)
