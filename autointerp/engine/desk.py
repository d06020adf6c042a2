"""The desk of a stage: what its workers share with their coordinator."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["Desk", "Seen"]

_LOANS_LEFT = 4
"""Loans per worker that what is left should be enough for: they become small near a ceiling."""
_MAX_LOAN = 256
"""Requests lent at once."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How far the workers are, and what they said since the last look."""

    done: float
    total: float | None
    note: str
    lines: tuple[str, ...]


@dataclass(slots=True)
class _Part:
    """`lent_usd` and `n_lent` include what is spent."""

    lent_usd: float = 0.0
    n_lent: float = 0.0
    done: float = 0.0
    total: float | None = None
    note: str = ""


@dataclass(slots=True)
class Desk:
    """Ceilings lent out, progress and the wish to stop, for `n_parts` parts; one caller at a time.

    Loans are never more than what is left, so the ceilings hold over all workers, also when some die.
    """

    n_parts: int
    usd: float = math.inf
    n_requests: float = math.inf
    is_stopping: bool = False
    _parts: dict[int, _Part] = field(default_factory=dict)
    _lines: list[str] = field(default_factory=list)

    def settle(self, part: int, usd: float, n_requests: float) -> None:
        """State what a part has spent; what it was lent beyond that comes back."""
        known = self._part(part)
        self.usd += known.lent_usd - usd
        self.n_requests += known.n_lent - n_requests
        known.lent_usd, known.n_lent = usd, n_requests

    def lend(self, part: int, usd: float, n_requests: int) -> tuple[float, float]:
        """(money, requests) lent: at least what is wanted, or 0 where so much is not left."""
        known, n_loans = self._part(part), _LOANS_LEFT * self.n_parts
        lent_usd = max(usd, self.usd / n_loans) if 0 < usd <= self.usd else 0.0
        n_lent = 0.0
        if 0 < n_requests <= self.n_requests:
            n_lent = min(_MAX_LOAN, max(n_requests, self.n_requests // n_loans))
        self.usd -= lent_usd
        self.n_requests -= n_lent
        known.lent_usd += lent_usd
        known.n_lent += n_lent
        return lent_usd, n_lent

    def note(self, part: int, done: float, total: float | None, note: str | None) -> bool:
        """How far a part is; returns whether it shall stop."""
        known = self._part(part)
        known.done, known.total, known.note = done, total, note or ""
        return self.is_stopping

    def say(self, part: int, text: str) -> None:
        self._lines.append(f"[{part + 1}/{self.n_parts}] {text}")

    def stop(self) -> None:
        """Let every worker end in order when it next notes how far it is."""
        self.is_stopping = True

    def look(self) -> Seen:
        parts = self._parts.values()
        totals = [known.total for known in parts if known.total is not None]
        lines, self._lines = tuple(self._lines), []
        is_known = bool(totals) and len(totals) == self.n_parts
        notes = [known.note for known in parts if known.note]
        return Seen(sum(p.done for p in parts), sum(totals) if is_known else None, notes[0] if notes else "", lines)

    def _part(self, part: int) -> _Part:
        return self._parts.setdefault(part, _Part())
