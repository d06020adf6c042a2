"""How long work tells what it has done: a seam between the stages, which count, and whoever shows it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

__all__ = ["Bar", "Progress", "SilentProgress"]


@runtime_checkable
class Bar(Protocol):
    """One piece of work on show."""

    def update(self, done: float, *, total: float | None = None, note: str | None = None) -> None:
        """Set how much is done; `total` where it has become known; `note` is a short text beside the bar."""
        ...


@runtime_checkable
class Progress(Protocol):
    """Whoever shows progress."""

    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> AbstractContextManager[Bar]:
        """Show one piece of work until the context ends. `total` None means unknown."""
        ...

    def say(self, text: str) -> None:
        """One line for the log."""
        ...


class _SilentBar:
    def update(self, done: float, *, total: float | None = None, note: str | None = None) -> None:
        return


class SilentProgress:
    """Shows nothing: for tests, libraries and `--json`."""

    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> AbstractContextManager[Bar]:
        return nullcontext(_SilentBar())

    def say(self, text: str) -> None:
        return
