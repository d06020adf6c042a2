"""Tokens of shown windows with their contexts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from autointerp.judges.offline.pattern_language import near_words
from autointerp.judges.tasks import ShownWindow

__all__ = ["Context", "Occurrence", "Windows", "read_windows"]

Context = tuple[str, bool]
"""Text before a token; whether it is only near."""


@dataclass(slots=True, eq=False)
class Occurrence:
    """One token of a window, at `start:end` of its text."""

    window: int
    token: str
    text: str
    start: int
    end: int
    activation: float
    contexts: list[Context]


@dataclass(slots=True)
class Windows:
    """Occurrences by token and window, counts per context, firing tokens."""

    by_token: dict[str, list[Occurrence]] = field(default_factory=lambda: defaultdict(list))
    by_window: list[list[Occurrence]] = field(default_factory=list)
    n_by_context: Counter[Context] = field(default_factory=Counter)
    firing: list[str] = field(default_factory=list)

    def base_rate(self, context: Context) -> float:
        """Share of all tokens in this context."""
        return self.n_by_context[context] / max(1, sum(map(len, self.by_window)))


def read_windows(shown: Sequence[ShownWindow]) -> Windows:
    """Contexts: the token before and near words."""
    windows = Windows()
    for index, window in enumerate(shown):
        text, start, previous = "".join(window.tokens), 0, ""
        occurrences: list[Occurrence] = []
        for token, activation in zip(window.tokens, window.activations, strict=True):
            end = start + len(token)
            if token:
                contexts = [(previous, False)] if previous else []
                contexts += [(word, True) for word in sorted(near_words(text, start))]
                occurrence = Occurrence(index, token, text, start, end, max(0.0, activation), contexts)
                occurrences.append(occurrence)
                windows.by_token[token].append(occurrence)
                previous = token
            start = end
        windows.by_window.append(occurrences)
    windows.n_by_context = Counter(context for row in windows.by_window for o in row for context in o.contexts)
    windows.firing = [
        token for token, occurrences in windows.by_token.items() if any(o.activation > 0.0 for o in occurrences)
    ]
    return windows
