"""Runs without torch whose scores are asked of a local server, by workers or by one process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from autointerp.config.tree import Config
from autointerp.runs.layout import RunLayout
from tests.integration.commands import command, endpoint, environment
from tests.judges.fault_server import FaultServer
from tests.judges.journalled import journalled
from tests.stages.harvested import make_config, make_run

__all__ = ["asked_config", "begin", "journalled_by_any", "start", "wait_until", "workers_of"]


def asked_config(server: FaultServer, *overrides: str) -> Config:
    return make_config(*endpoint(server.base_url), *overrides)


def begin(root: Path, server: FaultServer, *overrides: str, n_features: int | None = 4) -> RunLayout:
    """A harvested run of this config."""
    return make_run(root, asked_config(server, *overrides), n_features=n_features)


def start(run: RunLayout, cache: Path, *options: str) -> subprocess.Popen[bytes]:
    """`autointerp run` in a process of its own."""
    words = command("run", run.config, "--out", run.root, "--cache", cache, "--json", *options)
    return subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def workers_of(coordinator: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes of the local engine's workers."""
    children = psutil.Process(coordinator.pid).children() if coordinator.poll() is None else []
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE and sys.executable in child.cmdline()]


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.005)


def journalled_by_any(run: RunLayout) -> set[str]:
    """Requests with a reply on disk, of the run or one of its shards."""
    journals = [run.journal, *(shard.journal for shard in run.find_shards())]
    return set().union(*(journalled(path, model="served") for path in journals))
