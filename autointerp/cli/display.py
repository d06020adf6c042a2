"""Output and progress: bars on a terminal, plain lines elsewhere. All text passes `safe_text`."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from autointerp.progress import WORTH_A_LINE_S, Bar, Pace
from autointerp.safe_text import safe_line, safe_text

__all__ = ["TerminalProgress", "echo", "show_bug", "tell"]

# Without a terminal: seconds until the first line about a piece of work, and between later ones.
PLAIN_FIRST_S, PLAIN_EVERY_S = 10.0, 60.0

_ROOMY = 100
_COUNT_AND_TIME = 26  # columns of `12.3k/200.0k 75.6 h left` with its spaces

stderr = Console(stderr=True, highlight=False, emoji=False)


def echo(text: object, *, nl: bool = True, has_colour: bool = False) -> None:
    """Print to standard output; `has_colour` marks a table of safe cells in our colours."""
    typer.echo(safe_text(str(text), has_colour=has_colour), nl=nl)


def tell(text: str) -> None:
    """Print lines to standard error."""
    stderr.print(safe_text(text), markup=False, soft_wrap=True)


def show_bug(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """A traceback, for `sys.excepthook`."""
    tell("".join(traceback.format_exception(kind, error, trace)).rstrip())


class _BesideBar(ProgressColumn):
    """The text beside a bar: count and time left, then rate and note if they fit."""

    def __init__(self, room: int) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._room = room

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit, left_s = task.fields["unit"], task.fields["eta_s"]
        count = _count(task.completed, task.total) if task.completed or task.total else ""
        left = "" if task.finished else _waited(task) if left_s is None else f"{_duration(left_s)} left"
        # what is asked about features has a pace of its own
        rate = f"{_short(speed)} {unit}/s" if speed and unit not in ("", "features") else ""
        line = Text()
        for text, style in ((count, "green"), (left, "magenta"), (rate, "cyan")):
            self._add(line, text, style, gap=" ")
        gap = " "
        for part in task.fields["note"].split(", "):
            if not self._add(line, part, "none", gap=gap):
                break
            gap = ", "
        return line

    def _add(self, line: Text, text: str, style: str, *, gap: str) -> bool:
        has_room = len(line) + len(gap) + len(text) <= self._room
        if text and has_room:
            line.append(gap if line else "").append(text, style)
        return has_room


class _TerminalBar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task, self._pace = progress, task, Pace()

    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        changes: dict[str, Any] = {} if total is None else {"total": total}
        if note is not None:
            changes["note"] = safe_line(note)
        self._pace.note(done)
        if eta_s is None:
            eta_s = self._pace.left_s(done, self._progress.tasks[0].total if total is None else total)
        self._progress.update(self._task, completed=done, eta_s=eta_s, **changes)


class _PlainBar:
    """Progress for logs and pipes: a line after ten seconds, one a minute, and one at the end."""

    def __init__(self, console: Console, label: str, total: float | None, unit: str) -> None:
        self._console, self._label, self._total, self._unit = console, label, total, unit
        self._done, self._note, self._start = 0.0, "", time.monotonic()
        self._eta_s: float | None = None
        self._pace = Pace()
        self._is_over = threading.Event()
        threading.Thread(target=self._tell_now_and_then, daemon=True).start()

    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        self._done, self._total, self._eta_s = done, total if total is not None else self._total, eta_s
        self._note = note if note is not None else self._note
        self._pace.note(done)

    def end(self) -> None:
        self._is_over.set()
        if self._done or time.monotonic() - self._start > WORTH_A_LINE_S:
            self._print_line()

    def _tell_now_and_then(self) -> None:
        wait_s = PLAIN_FIRST_S
        while not self._is_over.wait(wait_s):
            self._print_line()
            wait_s = PLAIN_EVERY_S

    def _print_line(self) -> None:
        elapsed_s = max(time.monotonic() - self._start, 1e-9)
        counted = f"{_count(self._done, self._total)} {self._unit} in " if self._done or self._total else ""
        text = f"{self._label}: {counted}{_duration(elapsed_s)}"
        if self._total and 0 < self._done < self._total:
            left_s = self._pace.left_s(self._done, self._total) if self._eta_s is None else self._eta_s
            text += "" if left_s is None else f", {_duration(left_s)} left"
        if self._note:
            text += f", {self._note}"
        self._console.print(safe_line(text), markup=False, soft_wrap=True)


class TerminalProgress:
    """Progress on standard error (`autointerp.progress.Progress`)."""

    def __init__(self, console: Console = stderr) -> None:
        self._console = console
        self._is_live = console.is_terminal

    @contextmanager
    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> Iterator[Bar]:
        if not self._is_live:
            plain = _PlainBar(self._console, label, total, unit)
            try:
                yield plain
            finally:
                plain.end()
            return
        width = self._console.width
        bar_width = max(4, min(30, 10 + (width - 80) // 2))
        label = _cut(safe_line(label), max(8, min(width // 3, width - bar_width - _COUNT_AND_TIME)))
        is_roomy = width >= _ROOMY
        columns = (
            *((SpinnerColumn(),) if is_roomy else ()),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=bar_width),
            _BesideBar(width - len(label) - bar_width - 2 - 2 * is_roomy),
        )
        is_wait = not unit and total is None
        with Progress(*columns, console=self._console, expand=False, transient=is_wait) as progress:
            task = progress.add_task(label, total=total, unit=unit, note="", eta_s=None)
            yield _TerminalBar(progress, task)
            progress.update(task, total=progress.tasks[0].completed)  # a total may have been the most there could be

    def say(self, text: str) -> None:
        self._console.print(safe_text(text), markup=False, soft_wrap=True)


def _count(done: float, total: float | None) -> str:
    return _short(done) if total is None else f"{_short(done)}/{_short(total)}"


def _waited(task: Task) -> str:
    elapsed_s = task.elapsed or 0.0
    return _duration(elapsed_s) if elapsed_s >= WORTH_A_LINE_S else ""


def _short(number: float) -> str:
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


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"
