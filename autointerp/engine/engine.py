"""The seam: an engine starts a task once per part; `spread` waits for all and shows how far they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from autointerp.config.engine import EngineConfig
from autointerp.engine.desk import Desk, Seen
from autointerp.engine.task import Failed, Task
from autointerp.errors import RunStopped
from autointerp.interruption import Interruption
from autointerp.progress import Bar, Progress

__all__ = ["Engine", "Running", "open_engine", "spread"]

_LOOK_S = 0.5


@runtime_checkable
class Running(Protocol):
    """Parts under way."""

    def wait(self, timeout_s: float) -> list[tuple[int, Any]]:
        """Parts that ended since the last call, and their results or Failed."""
        ...

    def look(self) -> Seen: ...

    def stop(self) -> None:
        """Ask all parts to end in order."""
        ...

    def close(self) -> None:
        """End what is still there."""
        ...


@runtime_checkable
class Engine(Protocol):
    n_workers: int
    is_elsewhere: bool
    """Whether workers may be on machines that see no folder of this one."""

    def start(self, task: Task, parts: Sequence[tuple[Any, ...]], desk: Desk, *, on_gpu: bool) -> Running:
        """Start `task(share, *arguments)` for the arguments of each part; a part whose worker dies starts again.

        on_gpu: give each part a GPU where there are some.
        """
        ...


@contextmanager
def open_engine(config: EngineConfig) -> Iterator[Engine | None]:
    """None for work in this process. Raises ConfigError where Ray is missing or its cluster cannot be reached."""
    if config.is_in_process:
        yield None
    elif config.kind == "local":
        from autointerp.engine.local import LocalEngine

        with LocalEngine(config.n_workers) as engine:
            yield engine
    else:
        from autointerp.engine.ray_engine import open_ray

        with open_ray(config) as engine:
            yield engine


def spread(
    engine: Engine,
    task: Task,
    parts: Sequence[tuple[Any, ...]],
    *,
    label: str,
    unit: str,
    progress: Progress,
    desk: Desk | None = None,
    on_gpu: bool = False,
) -> list[Any]:
    """The results of all parts, in their order.

    Raises the first part's error once all have ended: after a RunStopped (a ceiling, a judge that is gone) the others
    go on as far as they can, after any other error and after a signal they are asked to end.
    """
    desk = desk or Desk(len(parts))
    ended: dict[int, Any] = {}
    with Interruption() as interruption, progress.bar(label, unit=unit) as bar:
        running = engine.start(task, parts, desk, on_gpu=on_gpu)
        try:
            interruption.then(lambda _: running.stop())
            while len(ended) < len(parts):
                for index, result in running.wait(_LOOK_S):
                    ended[index] = result
                    if isinstance(result, Failed) and not isinstance(result.error, RunStopped):
                        running.stop()
                _show(running.look(), bar, progress, n_ended=len(ended), n=len(parts))
        finally:
            running.close()
    for result in ended.values():
        if isinstance(result, Failed):
            raise result.error
    return [ended[index] for index in range(len(parts))]


def _show(seen: Seen, bar: Bar, progress: Progress, *, n_ended: int, n: int) -> None:
    for line in seen.lines:
        progress.say(line)
    note = ", ".join(filter(None, [f"{n_ended} of {n} parts done", seen.note]))
    bar.update(seen.done, total=seen.total, note=note)
