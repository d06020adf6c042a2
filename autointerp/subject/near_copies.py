"""Documents that repeat earlier ones: near copies, told by the share of word runs that were read before."""

from __future__ import annotations

from zlib import crc32

from autointerp.records.document import Document

__all__ = ["NearCopies"]

RUN_WORDS = 8
ONE_IN = 8
"""Of the places where a run may begin one in so many is looked at, chosen by the word: the same ones in a copy."""
FEWEST_RUNS = 4
COPIED_FRAC = 0.8
MOST_RUNS = 4_000_000
"""Runs kept, some 300 MB; what a longer corpus adds after that is not held against what follows."""


class NearCopies:
    """The runs read so far. What counts as a copy depends on the documents before it alone, so every pass over a corpus
    leaves out the same ones."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def is_copy(self, document: Document) -> bool:
        """Whether at least four fifths of the document's runs of eight words stand in documents read before. One with
        fewer than four runs to look at never is."""
        runs = _runs(document.text)
        if len(runs) >= FEWEST_RUNS and len(runs & self._known) >= COPIED_FRAC * len(runs):
            return True
        if len(self._known) < MOST_RUNS:
            self._known |= runs
        return False


def _runs(text: str) -> set[int]:
    words = text.encode(errors="surrogatepass").split()
    return {
        crc32(b" ".join(words[place : place + RUN_WORDS]))
        for place in range(len(words) - RUN_WORDS + 1)
        if crc32(words[place]) % ONE_IN == 0
    }
