"""Progress on a terminal: bars with rate and ETA through rich, plain lines where no terminal is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from autointerp.progress import Bar

__all__ = ["TerminalProgress", "stderr"]

PLAIN_EVERY_S = 15.0

stderr = Console(stderr=True, highlight=False, emoji=False)


class RateColumn(ProgressColumn):
    """How much per second, in the task's own unit."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "")
        return Text(f"{_short(speed)} {unit}/s" if speed else "", style="cyan")


class _TerminalBar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def update(self, done: float, *, total: float | None = None, note: str | None = None) -> None:
        self._progress.update(self._task, completed=done)
        if total is not None:
            self._progress.update(self._task, total=total)
        if note is not None:
            self._progress.update(self._task, note=note)


class _PlainBar:
    """For logs and pipes: a line every quarter of a minute, and one at the end."""

    def __init__(self, console: Console, label: str, total: float | None, unit: str) -> None:
        self._console, self._label, self._total, self._unit = console, label, total, unit
        self._done, self._note, self._start = 0.0, "", time.monotonic()
        self._last = self._start

    def update(self, done: float, *, total: float | None = None, note: str | None = None) -> None:
        self._done, self._total = done, total if total is not None else self._total
        self._note = note if note is not None else self._note
        if time.monotonic() - self._last > PLAIN_EVERY_S:
            self._last = time.monotonic()
            self.print_line()

    def print_line(self) -> None:
        elapsed = max(time.monotonic() - self._start, 1e-9)
        rate = self._done / elapsed
        total = f"/{_short(self._total)}" if self._total else ""
        eta = (
            f", {(self._total - self._done) / rate:.0f} s left" if self._total and 0 < self._done < self._total else ""
        )
        text = f"{self._label}: {_short(self._done)}{total} {self._unit} in {elapsed:.0f} s{eta} {self._note}"
        self._console.print(text.rstrip(), markup=False, soft_wrap=True)


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
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            RateColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self._console, expand=False) as progress:
            task = progress.add_task(label, total=total, unit=unit, note="")
            yield _TerminalBar(progress, task)
            progress.update(task, total=progress.tasks[0].total or progress.tasks[0].completed)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def _short(number: float | None) -> str:
    if number is None:
        return "?"
    for bound, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= bound:
            return f"{number / (bound if unit != 'k' else 1e3):.1f}{unit}"
    return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.2f}"
