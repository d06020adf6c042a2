"""What is printed, and progress: bars with rate and ETA through rich, plain lines where no terminal is.

Every command prints through `echo` and `tell`, so nothing reaches the terminal but what `safe_text` lets by.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from autointerp.progress import Bar
from autointerp.safe_text import safe_line, safe_text

__all__ = ["TerminalProgress", "echo", "show_bug", "stderr", "tell"]

PLAIN_EVERY_S = 60.0

_BESIDE_BAR = 24
"""Columns that a count and the time left take, with the spaces between."""
_ROOMY = 80

stderr = Console(stderr=True, highlight=False, emoji=False)


def echo(text: object, *, nl: bool = True, has_colour: bool = False) -> None:
    """Print to standard output. `has_colour`: the text is a table whose cells are safe, coloured by us."""
    typer.echo(safe_text(str(text), has_colour=has_colour), nl=nl)


def tell(text: str) -> None:
    """Print to standard error; its lines stay lines."""
    stderr.print(safe_text(text), markup=False, soft_wrap=True)


def show_bug(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """A traceback, for `sys.excepthook`."""
    tell("".join(traceback.format_exception(kind, error, trace)).rstrip())


class RateColumn(ProgressColumn):
    """How much per second, in the task's own unit."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "")
        return Text(f"{_short(speed)} {unit}/s" if speed else "", style="cyan")


class DoneColumn(ProgressColumn):
    """How much is done of how much."""

    def render(self, task: Task) -> Text:
        total = "" if task.total is None else f"/{_short(task.total)}"
        return Text(f"{_short(task.completed)}{total}", style="green")


class LeftColumn(ProgressColumn):
    """The time left: as whoever works says, else from what has been done."""

    def render(self, task: Task) -> Text:
        left_s = task.fields.get("eta_s")
        if left_s is None:
            left_s = task.time_remaining
        return Text("" if left_s is None or task.finished else f"{_duration(left_s)} left", style="magenta")


class _TerminalBar:
    def __init__(self, progress: Progress, task: TaskID, *, room: int) -> None:
        self._progress, self._task, self._room = progress, task, room

    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        changes: dict[str, Any] = {} if total is None else {"total": total}
        if note is not None:
            changes["note"] = _fit(safe_line(note), self._room)
        self._progress.update(self._task, completed=done, eta_s=eta_s, **changes)


class _PlainBar:
    """For logs and pipes: a line a minute, and one at the end."""

    def __init__(self, console: Console, label: str, total: float | None, unit: str) -> None:
        self._console, self._label, self._total, self._unit = console, label, total, unit
        self._done, self._note, self._start = 0.0, "", time.monotonic()
        self._eta_s: float | None = None
        self._last = self._start

    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        self._done, self._total, self._eta_s = done, total if total is not None else self._total, eta_s
        self._note = note if note is not None else self._note
        if time.monotonic() - self._last > PLAIN_EVERY_S:
            self._last = time.monotonic()
            self.print_line()

    def print_line(self) -> None:
        elapsed = max(time.monotonic() - self._start, 1e-9)
        rate = self._done / elapsed
        total = f"/{_short(self._total)}" if self._total else ""
        eta = ""
        if self._total and 0 < self._done < self._total:
            left_s = (self._total - self._done) / rate if self._eta_s is None else self._eta_s
            eta = f", {_duration(left_s)} left"
        text = f"{self._label}: {_short(self._done)}{total} {self._unit} in {_duration(elapsed)}{eta}, {self._note}"
        self._console.print(safe_line(text.rstrip(", ")), markup=False, soft_wrap=True)


class TerminalProgress:
    """Shows progress on standard error; see autointerp.progress.Progress."""

    def __init__(self, console: Console = stderr, log: list[str] | None = None) -> None:
        self._console = console
        self._is_live = console.is_terminal

    @contextmanager
    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> Iterator[Bar]:
        if not self._is_live:
            plain = _PlainBar(self._console, label, total, unit)
            yield plain
            plain.print_line()
            return
        width = self._console.width
        bar_width = max(4, min(30, width - _ROOMY))
        has_rate = bool(unit) and unit != "features"  # what is asked about features has a pace of its own
        columns = (
            *((SpinnerColumn(),) if width >= _ROOMY else ()),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=bar_width),
            DoneColumn(),
            *((RateColumn(),) if has_rate else ()),
            LeftColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self._console, expand=False) as progress:
            task = progress.add_task(safe_line(label), total=total, unit=unit, note="", eta_s=None)
            taken = len(label) + bar_width + _BESIDE_BAR + 2 * (width >= _ROOMY) + 14 * has_rate
            yield _TerminalBar(progress, task, room=width - taken)
            progress.update(task, total=progress.tasks[0].total or progress.tasks[0].completed)

    def say(self, text: str) -> None:
        self._console.print(safe_text(text), markup=False, soft_wrap=True)


def _short(number: float | None) -> str:
    if number is None:
        return "?"
    for bound, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= bound:
            return f"{number / (bound if unit != 'k' else 1e3):.1f}{unit}"
    return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.2f}"


def _duration(seconds: float) -> str:
    """A time in at most six characters."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return (
        f"{minutes} min"
        if minutes < 100
        else f"{seconds / 3600:.1f} h"
        if seconds < 360_000
        else f"{seconds / 86_400:.0f} d"
    )


def _fit(note: str, room: int) -> str:
    """The first parts of a note that fit."""
    parts = note.split(", ")
    while len(parts) > 1 and len(", ".join(parts)) > room:
        parts.pop()
    return ", ".join(parts)
