"""A task as its worker sees it: its share of the stage, and how its end is told."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from autointerp.errors import AutointerpError, RunStopped

__all__ = ["Failed", "Link", "Share", "Task", "attempt"]


@runtime_checkable
class Link(Protocol):
    """A worker's way to the desk."""

    def call(self, method: str, *arguments: Any) -> Any:
        """What the desk's method returns. Raises ConnectionError where the coordinator is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Share:
    """Part `index` of `n`, from 0."""

    index: int
    n: int
    link: Link

    def call(self, method: str, *arguments: Any) -> Any:
        return self.link.call(method, self.index, *arguments)


Task = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """A part that ended in an error."""

    error: BaseException


def attempt(task: Task, share: Share, arguments: tuple[Any, ...], *, place: str) -> Any:
    """The task's result, or Failed; done in the folder `place`, for relative paths."""
    with suppress(OSError):  # another machine may not have it
        os.chdir(place)
    # who is told to stop (far_progress.py); Ray's workers have no handler
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return task(share, *arguments)
    except ConnectionError as error:
        return Failed(RunStopped(f"the coordinator of the run is gone ({error}); what is done is kept"))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the coordinator raises it
        return Failed(_portable(error))


def _portable(error: BaseException) -> BaseException:
    """The error as it can be sent; where it is a bug, with its traceback as a note."""
    if not isinstance(error, AutointerpError):
        error.add_note("in a worker:\n" + "".join(traceback.format_exception(error)))
    with suppress(Exception):
        pickle.loads(pickle.dumps(error))
        return error.with_traceback(None)
    return RuntimeError("".join(traceback.format_exception(error)))
