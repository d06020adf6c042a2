"""A progress that keeps what it was told, for tests of what people see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class KeptBar:
    """One piece of work: what it was called, how much there was to do, every state it was in."""

    label: str
    total: float | None
    unit: str
    states: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def update(
        self, done: float, *, total: float | None = None, note: str | None = None, eta_s: float | None = None
    ) -> None:
        self.total = self.total if total is None else total
        self.states.append(done)
        if note is not None:
            self.notes.append(note)


class KeptProgress:
    def __init__(self) -> None:
        self.bars: list[KeptBar] = []
        self.said: list[str] = []

    @contextmanager
    def bar(self, label: str, *, total: float | None = None, unit: str = "") -> Iterator[KeptBar]:
        self.bars.append(KeptBar(label, total, unit))
        yield self.bars[-1]

    def say(self, text: str) -> None:
        self.said.append(text)
