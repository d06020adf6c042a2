"""Windows that a feature's verdicts borrowed from another feature (negatives of O'Neill et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Verdict
from autointerp.records.window import Window

__all__ = ["Borrowed"]


class Borrowed:
    """Index of score windows by id and feature, built at first use."""

    def __init__(self, evidences: Sequence[Evidence]) -> None:
        self._evidences = evidences
        self._owners: dict[tuple[str, str], dict[int, Window]] | None = None

    def find(self, verdicts: Iterable[Verdict]) -> dict[str, Window]:
        """One feature's windows of kind `other`, by id, of the first feature that holds them all; empty without one."""
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
