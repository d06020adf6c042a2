"""Workers that are tasks of a Ray cluster; retries, placement and node failure are Ray's.

The desk is an actor on the coordinator's node. Usage statistics are off.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from autointerp.config.engine import EngineConfig
from autointerp.distribution import how_to_install
from autointerp.engine.desk import Desk, Seen
from autointerp.engine.task import Failed, Share, Task, attempt
from autointerp.errors import ConfigError, RunStopped

__all__ = ["RayEngine", "open_ray"]

N_RETRIES = 3
_ADDRESS = "RAY_ADDRESS"
_PATIENCE_S = 5.0
_STORE_BYTES = 200_000_000
"""Object store of a cluster that is started here; larger results go to disk."""


@contextmanager
def open_ray(config: EngineConfig) -> Iterator[RayEngine]:
    """Connected to the cluster, or to one started on this machine. Raises ConfigError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigError(f"engine.kind = 'ray' needs the package 'ray': {how_to_install('ray')}") from None
    address = config.address or os.environ.get(_ADDRESS)
    started_here = {
        "num_cpus": max(config.n_workers, os.cpu_count() or 1),
        "object_store_memory": _STORE_BYTES,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }
    options: dict[str, Any] = {"address": address} if address else {"address": "local", **started_here}
    try:
        _require_listener(address)
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        fix = "`ray status` tells what is there; RAY_AUTH_MODE must be as where its head was started"
        raise ConfigError(f"{where} does not answer ({error}); {fix}") from None
    try:
        yield RayEngine(ray, config.n_workers)
    finally:
        ray.shutdown()


def _require_listener(address: str | None) -> None:
    """Raise OSError where nobody listens: Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()


class RayEngine:
    is_elsewhere = True

    def __init__(self, ray: Any, n_workers: int) -> None:
        self._ray, self.n_workers = ray, n_workers

    def start(self, task: Task, parts: Sequence[tuple[Any, ...]], desk: Desk, *, on_gpu: bool) -> RayRunning:
        return RayRunning(self._ray, task, parts, desk, n_gpus=int(on_gpu and "GPU" in self._ray.cluster_resources()))


class _Host:
    """The actor that holds the desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def call(self, method: str, *arguments: Any) -> Any:
        return getattr(self._desk, method)(*arguments)


class _ActorLink:
    """The desk as an actor."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def call(self, method: str, *arguments: Any) -> Any:
        import ray
        from ray.exceptions import RayActorError

        try:
            return ray.get(self._host.call.remote(method, *arguments))
        except RayActorError as error:
            raise ConnectionError("its actor is gone") from error


def _packed(task: Task, share: Share, arguments: tuple[Any, ...], *, place: str) -> bytes:
    # Ray's own arrays are read-only where they are read
    return pickle.dumps(attempt(task, share, arguments, place=place))


class RayRunning:
    def __init__(self, ray: Any, task: Task, parts: Sequence[tuple[Any, ...]], desk: Desk, *, n_gpus: int) -> None:
        self._ray = ray
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self._host = ray.remote(_Host).options(num_cpus=0, scheduling_strategy=here).remote(desk)
        self._link = _ActorLink(self._host)
        run = ray.remote(_packed).options(num_cpus=1, num_gpus=n_gpus, max_retries=N_RETRIES)
        place = str(Path.cwd())
        self._places = {
            run.remote(task, Share(index, len(parts), self._link), arguments, place=place): index
            for index, arguments in enumerate(parts)
        }

    def wait(self, timeout_s: float) -> list[tuple[int, Any]]:
        done, _ = self._ray.wait(list(self._places), num_returns=1, timeout=timeout_s)
        return [(self._places.pop(reference), self._result(reference)) for reference in done]

    def look(self) -> Seen:
        return self._call("look")

    def stop(self) -> None:
        # not waited for: a signal may come at any moment
        self._host.call.remote("stop")

    def close(self) -> None:
        for reference in self._places:
            with suppress(Exception):
                self._ray.cancel(reference, force=True)
        self._ray.kill(self._host)

    def _call(self, method: str) -> Any:
        try:
            return self._link.call(method)
        except (ConnectionError, self._ray.exceptions.RayError) as error:
            raise RunStopped(f"the Ray cluster is gone ({error}); the same command goes on from here") from None

    def _result(self, reference: Any) -> Any:
        try:
            return pickle.loads(self._ray.get(reference))
        except self._ray.exceptions.RayError as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            return Failed(RunStopped(f"Ray gave a part up ({first}); what is done is kept"))
