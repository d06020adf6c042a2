"""Work in steps: generators that yield between two steps and return a result, so that several can share a source."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TypeVar

__all__ = ["Steps", "done", "in_turn"]

Key = TypeVar("Key")
Result = TypeVar("Result")
Steps = Generator[None, None, Result]


def done(steps: Steps[Result]) -> Result:
    """The result, all steps taken."""
    return in_turn({None: steps})[None]


def in_turn(works: Mapping[Key, Steps[Result]], *, on_end: Callable[[Key], None] | None = None) -> dict[Key, Result]:
    """The results of works that take a step each in turn; on_end is told which one has ended."""
    results: dict[Key, Result] = {}
    running = dict(works)
    while running:
        for key, steps in list(running.items()):
            try:
                next(steps)
            except StopIteration as end:
                results[key] = end.value
                del running[key]
                if on_end is not None:
                    on_end(key)
    return {key: results[key] for key in works}
