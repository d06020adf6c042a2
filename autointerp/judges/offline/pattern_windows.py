"""Tokens of shown windows with their contexts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from autointerp.judges.offline.pattern_language import near_words
from autointerp.judges.tasks import ShownWindow

__all__ = ["Context", "Occurrence", "Windows", "count_contexts", "read_windows"]

Context = tuple[str, bool]
"""Text before a token; whether it is only near."""


@dataclass(eq=False)
class Occurrence:
    """One token of a window, at `start:end` of its text; `previous` is the token before."""

    window: int
    token: str
    text: str
    start: int
    end: int
    activation: float
    previous: str

    @cached_property
    def contexts(self) -> frozenset[Context]:
        """The token before and near words."""
        touching = [(self.previous, False)] if self.previous else []
        return frozenset([*touching, *((word, True) for word in near_words(self.text, self.start))])


@dataclass(slots=True)
class Windows:
    """Occurrences by token and window."""

    by_token: dict[str, list[Occurrence]] = field(default_factory=lambda: defaultdict(list))
    by_window: list[list[Occurrence]] = field(default_factory=list)

    def firing(self) -> set[str]:
        """Tokens that fire in a window."""
        return {o.token for row in self.by_window for o in row if o.activation > 0.0}


def read_windows(shown: Sequence[ShownWindow]) -> Windows:
    windows = Windows()
    for index, window in enumerate(shown):
        text, start, previous = "".join(window.tokens), 0, ""
        occurrences: list[Occurrence] = []
        for token, activation in zip(window.tokens, window.activations, strict=True):
            if token:
                end = start + len(token)
                occurrence = Occurrence(index, token, text, start, end, activation, previous)
                occurrences.append(occurrence)
                windows.by_token[token].append(occurrence)
                start, previous = end, token
        windows.by_window.append(occurrences)
    return windows


def count_contexts(rows: Sequence[Sequence[Occurrence]]) -> Counter[Context]:
    """Tokens in each context."""
    return Counter(context for row in rows for o in row for context in o.contexts)
