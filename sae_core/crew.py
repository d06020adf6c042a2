"""Threads that do the like for several dictionaries side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from sae_core.device import fast_matmul

__all__ = ["Crew"]

Result = TypeVar("Result")


class Crew:
    """The CPU's threads, shared out evenly to as many workers as there are dictionaries, or threads.

    Products of one dictionary on two cores take longer than half of their time on one: between them one core waits.
    What a dictionary computes depends on the threads of its worker, not on the others. On a GPU, and where there is
    one thread or one dictionary, the caller's thread does it all.
    """

    def __init__(self, n_dictionaries: int, device: torch.device) -> None:
        self._n_threads = torch.get_num_threads()
        self._seconds: dict[str, float] = {}
        n_workers = min(n_dictionaries, self._n_threads) if device.type == "cpu" else 1
        self._pool = None
        if n_workers > 1:
            share = self._n_threads // n_workers
            self._pool = ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(share,))

    def run(self, tasks: Mapping[str, Callable[[], Result]]) -> dict[str, Result]:
        """Each dictionary's result; the first one's error, once all have ended.

        Gradient mode and autocast are a thread's own: a task enters what it needs.
        """
        if self._pool is None or len(tasks) < 2:
            return {name: task() for name, task in tasks.items()}
        # what took longest last time begins first, or the others wait for it
        order = sorted(tasks, key=lambda name: -self._seconds.get(name, 0.0))
        # the kernel is the process's: a task that chose it alone would change it under the others
        with fast_matmul(torch.device("cpu")):
            futures = {name: self._pool.submit(self._timed, name, tasks[name]) for name in order}
            wait(futures.values())
        # a worker's number of threads has become that of threads to come
        torch.set_num_threads(self._n_threads)
        return {name: futures[name].result() for name in tasks}

    def _timed(self, name: str, task: Callable[[], Result]) -> Result:
        began = time.thread_time()
        result = task()
        self._seconds[name] = time.thread_time() - began
        return result
