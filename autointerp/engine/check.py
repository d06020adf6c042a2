"""What an engine has to work with and what is missing, found out by asking its workers."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from autointerp.config.engine import EngineConfig
from autointerp.distribution import how_to_install, installed_version
from autointerp.engine.engine import open_engine, spread
from autointerp.engine.gpus import visible_gpus
from autointerp.engine.task import Share
from autointerp.errors import AutointerpError
from autointerp.progress import SilentProgress

__all__ = ["Finding", "check_engine", "describe_worker"]

_PACKAGES = {"torch": "models", "transformers": "models"}
"""What the tensor stages import first, and the extra it comes in."""

_UNSEEN = "does not see {}: give --out on a file system that all nodes share"
_UNREACHED = "does not reach the address of --out: install the extra 'remote' there, and export the store's keys"


class Finding(NamedTuple):
    what: str
    state: str
    """`ok`, `missing`, which stops a run, or `absent`, which some runs do without."""
    detail: str


def check_engine(
    config: EngineConfig, folder: Path, variables: Sequence[str] = (), *, reach: Callable[[], bool] | None = None
) -> list[Finding]:
    """Findings about this process, the engine and each worker.

    folder: where runs are to lie; it must be the same for all workers. variables: of the environment, that hold keys.
    reach: called by a worker, whether it reaches the address of which the folder is a working copy.
    """
    here = _describe(None, variables)
    size = f"{os.cpu_count()} processors, {here['gpus']} GPUs"
    findings = [Finding("this machine", "ok", f"{here['host']}, {size}")]
    findings += _packages(here)
    if config.kind == "ray":
        findings.append(_ray())
    token = folder / f".{uuid4().hex}.check"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        token.touch()
        with open_engine(config) as engine:
            if engine is None:
                return [*findings, Finding("workers", "ok", "this process (engine.workers = 1)")]
            see = reach or token.resolve().exists
            parts = [(see, tuple(variables))] * engine.n_workers
            workers = spread(engine, describe_worker, parts, label="", unit="", progress=SilentProgress())
    except (AutointerpError, OSError) as error:
        return [*findings, Finding("workers", "missing", str(error))]
    finally:
        token.unlink(missing_ok=True)
    for number, worker in enumerate(workers, start=1):
        findings += _compare(f"worker {number}", worker, here, _UNREACHED if reach else _UNSEEN.format(folder))
    return findings


def describe_worker(share: Share, see: Callable[[], bool], variables: Sequence[str]) -> dict[str, Any]:
    """A worker's task: what it has and sees."""
    return _describe(see, variables)


def _describe(see: Callable[[], bool] | None, variables: Sequence[str]) -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "autointerp": installed_version(),
        "packages": {name: metadata.version(name) if find_spec(name) else None for name in _PACKAGES},
        "gpus": len(visible_gpus()),
        "sees_folder": see is None or see(),
        "lacking": [name for name in variables if not os.environ.get(name)],
    }


def _packages(here: dict[str, Any]) -> list[Finding]:
    return [
        Finding(name, "ok", version)
        if version is not None
        else Finding(name, "absent", f"needed by train and harvest: {how_to_install(_PACKAGES[name])}")
        for name, version in here["packages"].items()
    ]


def _ray() -> Finding:
    if find_spec("ray") is None:
        return Finding("ray", "missing", how_to_install("ray"))
    return Finding("ray", "ok", metadata.version("ray"))


def _compare(name: str, worker: dict[str, Any], here: dict[str, Any], unseen: str) -> list[Finding]:
    """One line for a worker that is well, else one for each thing that is not."""
    faults = [
        f"{what} {worker[what]}, here {here[what]}: results may differ; install the same"
        for what in ("python", "autointerp", "packages")
        if worker[what] != here[what]
    ]
    if not worker["sees_folder"]:
        faults.append(unseen)
    faults += [f"the variable {each} is not set: export it where its node is started" for each in worker["lacking"]]
    on = f"on {worker['host']}"
    return [Finding(name, "missing", f"{on}: {fault}") for fault in faults] or [Finding(name, "ok", on)]
