"""Finds the windows a feature's verdicts borrowed from another feature (negatives as O'Neill et al. 2024 take them).

Takes the evidence of a run. A window's id names a stretch of text; which token of it is the candidate belongs to the
feature it was kept for, so the feature must be found, not the text alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Verdict
from autointerp.records.window import Window

__all__ = ["Borrowed"]


class Borrowed:
    """An index of score windows by id over each dictionary's features, made when it is first needed."""

    def __init__(self, evidences: Sequence[Evidence]) -> None:
        self._evidences = sorted(evidences, key=lambda e: (e.dictionary, e.feature))
        self._owners: dict[tuple[str, str], dict[int, Window]] | None = None

    def find(self, verdicts: Iterable[Verdict]) -> dict[str, Window]:
        """The windows of one feature's verdicts of the kind `other`, by id, as the lending feature holds them.

        The lender is the feature whose score windows hold them all (the first, should there be several). Empty where
        there is no such verdict or no lender among the evidence.
        """
        borrowed = sorted({(v.dictionary, v.feature, v.window) for v in verdicts if v.kind == "other"})
        if not borrowed:
            return {}
        owners = [self._index().get((dictionary, window), {}) for dictionary, _, window in borrowed]
        borrower = borrowed[0][1]
        lenders = sorted(set.intersection(*(set(of) for of in owners)) - {borrower})
        return {window: of[lenders[0]] for (_, _, window), of in zip(borrowed, owners, strict=True)} if lenders else {}

    def _index(self) -> dict[tuple[str, str], dict[int, Window]]:
        if self._owners is None:
            self._owners = {}
            for evidence in self._evidences:
                for window in evidence.select("score", "top"):
                    self._owners.setdefault((evidence.dictionary, window.id), {})[evidence.feature] = window
        return self._owners
