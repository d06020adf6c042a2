"""Documents that repeat earlier ones, told by the share of word runs that were read before."""

from __future__ import annotations

from zlib import crc32

from autointerp.records.document import Document

__all__ = ["NearCopies"]

RUN_WORDS = 8
# of the places where a run may begin one in so many is looked at, chosen by the word: the same ones in a copy
ONE_IN = 8
FEWEST_RUNS = 4
COPIED_FRAC = 0.8
# runs kept, some 300 MB; what a longer corpus adds after that is not held against what follows
MOST_RUNS = 4_000_000


class NearCopies:
    """The runs read so far; the same documents count as copies in every pass over a corpus."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def is_copy(self, document: Document) -> bool:
        """Whether four fifths of the document's runs of eight words, of at least four, stand in documents read
        before.
        """
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
