"""Windows: stretches of tokens shown to judges.

Tokens are byte spans of the UTF-8 text, because byte-level tokenizers split characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from autointerp.records.document import Role

__all__ = ["ACTIVATING", "HARD", "SILENT", "WITHIN_DOMAIN", "Kind", "Window"]

Kind = Literal[
    "top",
    "bin",
    "drawn",
    "random",
    "same_document",
    "same_family",
    "near_miss",
    "neighbour",
    "embedding_near",
    "other",
    "wrong_marks",
    "promoted",
    "suppressed",
]

ACTIVATING: frozenset[Kind] = frozenset({"top", "bin", "drawn", "promoted"})
"""`top`: highest maxima of the role. `bin`: hashed evenly from one activation bin. `drawn`: hashed from all firing
peaks. `promoted`: a vocabulary entry made more likely (verdicts only).
"""

SILENT: frozenset[Kind] = frozenset(
    {
        *("random", "same_document", "same_family", "near_miss", "neighbour", "embedding_near"),
        *("other", "wrong_marks", "suppressed"),
    }
)
"""`random`: any silent window. `same_document`: from a document with a firing elsewhere. `near_miss`: silent although
holding a token the feature fires on. `neighbour`: silent where a near feature fires.

Verdicts only: `same_family`: random, from the families of documents (`family_of`) of the judged firing windows.
`embedding_near`: random, with the text nearest to theirs. `other`: a top window of another feature (O'Neill et al.
2024). `wrong_marks`: a firing window marked where silent. `suppressed`: a vocabulary entry made less likely.
"""

WITHIN_DOMAIN: frozenset[Kind] = frozenset({"same_document", "same_family"})
"""Silent kinds of the same topic as firing ones."""

HARD: frozenset[Kind] = frozenset({"near_miss", "neighbour", "embedding_near"})
"""Misleading silent kinds, scored apart; their number would determine F1."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one document, with one feature's activations.

    `token_starts`: byte offsets in the UTF-8 text, one per token and the end; the text is widened to whole characters.
    `activations`: values under the firing rule, zero where silent. `candidate`: index of the marked task's token, the
    maximum if firing. `bin`: activation bin of the maximum, 0 lowest, None if silent. `ends_document`: None in
    evidence of earlier versions, and where a document's length is not known.
    """

    id: str
    document: str
    offset: int
    role: Role
    kind: Kind
    bin: int | None
    text: str
    token_ids: tuple[int, ...]
    token_starts: tuple[int, ...]
    activations: tuple[float, ...]
    candidate: int
    ends_document: bool | None = None

    @property
    def is_firing(self) -> bool:
        """Whether the feature fires anywhere; the truth for verdicts."""
        return self.kind in ACTIVATING

    @property
    def max_activation(self) -> float:
        return max(self.activations)

    def token_text(self, index: int) -> str:
        """For display; an incomplete character becomes U+FFFD."""
        raw = self.text.encode()[self.token_starts[index] : self.token_starts[index + 1]]
        return raw.decode("utf-8", errors="replace")

    def token_texts(self) -> list[str]:
        if self.text.isascii():
            return [self.text[start:end] for start, end in pairwise(self.token_starts)]
        raw = self.text.encode()
        return [raw[start:end].decode("utf-8", errors="replace") for start, end in pairwise(self.token_starts)]

    def character_span(self, index: int) -> tuple[int, int]:
        """Span of characters in `text`, widened to whole characters."""
        start, end = self.token_starts[index], self.token_starts[index + 1]
        if self.text.isascii():
            return start, end
        raw = self.text.encode()
        # 10xxxxxx: a byte within a character
        while 0 < start < len(raw) and raw[start] & 0xC0 == 0x80:
            start -= 1
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end += 1
        return len(raw[:start].decode()), len(raw[:end].decode())

    def piece_spans(self) -> list[tuple[int, int]]:
        """Character spans of the tokens that partition the text.

        A character belongs to the token in which it begins, so a token with only its rest is empty; text outside the
        tokens belongs to the first or last.
        """
        raw, n = self.text.encode(), len(self.token_ids)
        edges = [0, *self.token_starts[1:n], len(raw)]
        if len(raw) == len(self.text):  # one byte per character
            return list(pairwise(edges))
        for index in range(1, n):
            while edges[index] < len(raw) and raw[edges[index]] & 0xC0 == 0x80:
                edges[index] += 1
        places = [len(raw[:edge].decode()) for edge in edges]
        return list(pairwise(places))

    def owners(self) -> list[int]:
        """Per token, the index of the token whose piece shows it."""
        owners: list[int] = []
        for index, (start, end) in enumerate(self.piece_spans()):
            owners.append(index if start < end or not owners else owners[-1])
        return owners
