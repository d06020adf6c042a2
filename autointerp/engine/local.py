"""Workers that are processes of this machine."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Any

from autointerp.engine.desk import Desk, Seen
from autointerp.engine.gpus import visible_gpus
from autointerp.engine.messages import receive, send
from autointerp.engine.task import Failed, Task
from autointerp.errors import RunStopped

__all__ = ["N_TRIES", "LocalEngine"]

N_TRIES = 4
"""Workers that a part is given before it counts as failed."""
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    link: Connection

    def end(self) -> int:
        """Its exit code, once its link is closed; a worker that does not mind is killed."""
        self.link.close()
        try:
            return self.process.wait(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class LocalEngine:
    """Processes that wait for the next stage when they have done their part of one."""

    is_elsewhere = False

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._idle: list[_Worker] = []

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._idle:
            worker.end()

    def start(self, task: Task, parts: Sequence[tuple[Any, ...]], desk: Desk, *, on_gpu: bool) -> LocalRunning:
        # threads in excess of the processors spin, and take time from those at work
        n_threads = max(1, (os.cpu_count() or 1) // self.n_workers)
        gpus = visible_gpus() if on_gpu else []
        return LocalRunning(task, parts, desk, self._idle, gpus=gpus, n_threads=n_threads)


class LocalRunning:
    """A thread per part looks after its worker and hands its calls to the desk."""

    def __init__(
        self,
        task: Task,
        parts: Sequence[tuple[Any, ...]],
        desk: Desk,
        idle: list[_Worker],
        *,
        gpus: Sequence[str],
        n_threads: int,
    ) -> None:
        self._task, self._parts, self._desk, self._gpus, self._n_threads = task, parts, desk, gpus, n_threads
        self._lock, self._ended = threading.Lock(), queue.Queue[tuple[int, Any]]()
        self._idle, self._workers = idle, dict[int, _Worker]()
        self._threads = [threading.Thread(target=self._look_after, args=(i,), daemon=True) for i in range(len(parts))]
        for thread in self._threads:
            thread.start()

    def wait(self, timeout_s: float) -> list[tuple[int, Any]]:
        try:
            return [self._ended.get(timeout=timeout_s)]
        except queue.Empty:
            return []

    def look(self) -> Seen:
        with self._lock:
            return self._desk.look()

    def stop(self) -> None:
        # no lock: a signal may interrupt the very thread that holds it
        self._desk.stop()

    def close(self) -> None:
        self.stop()
        for worker in list(self._workers.values()):
            worker.process.kill()
        for thread in self._threads:
            thread.join()

    def _look_after(self, index: int) -> None:
        result: Any = None
        for _ in range(N_TRIES):
            try:
                result = self._try(index)
                break
            except (EOFError, OSError):  # the worker died
                worker = self._workers.pop(index, None)
                code = "none" if worker is None else worker.end()
                words = f"part {index + 1} of {len(self._parts)}: its worker died (exit code {code})"
                result = Failed(RunStopped(f"{words}; what is done is kept"))
                if self._desk.is_stopping:
                    break
            except Exception as error:  # noqa: BLE001  # must reach whoever waits
                result = Failed(error)
                break
        self._ended.put((index, result))

    def _try(self, index: int) -> Any:
        """The part's result. Raises EOFError or OSError when its worker dies."""
        with self._lock:
            worker = self._workers[index] = self._idle.pop() if self._idle else _start(self._n_threads)
        gpu = self._gpus[index % len(self._gpus)] if self._gpus else None
        send(worker.link, self._task, index, len(self._parts), self._parts[index], str(Path.cwd()), gpu)
        result = self._serve(worker.link)
        with self._lock:
            self._idle.append(self._workers.pop(index))
        return result

    def _serve(self, link: Connection) -> Any:
        while True:
            kind, *content = receive(link)
            if kind == "ended":
                return content[0]
            method, arguments = content
            with self._lock:
                answer = getattr(self._desk, method)(*arguments)
            send(link, answer)


def _start(n_threads: int) -> _Worker:
    ours, theirs = Pipe()
    command = [sys.executable, "-m", "autointerp.engine.worker", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            env={
                "OMP_NUM_THREADS": str(n_threads),  # unless the user has set it
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # in a session of its own: Ctrl-C is for the coordinator, which asks for an orderly end
            start_new_session=True,
        )
    return _Worker(process, ours)
