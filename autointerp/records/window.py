"""A window: the stretch of tokens that a judge is shown, with all that is known about it.

The text is UTF-8 and whole; tokens are spans of its bytes, because a byte-level tokenizer may split one
character over several tokens and no list of strings could hold half a character.
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
"""`top`: among the highest maxima of the role. `bin`: drawn evenly by hash from one bin of the activation range.
`drawn`: drawn by hash from all firing peaks, whatever their strength.
`promoted`: an entry of the vocabulary that the feature makes more likely; only verdicts carry it."""

SILENT: frozenset[Kind] = frozenset(
    {
        *("random", "same_document", "same_family", "near_miss", "neighbour", "embedding_near"),
        *("other", "wrong_marks", "suppressed"),
    }
)
"""`random`: any window without a firing. `same_document`: of a document in which the feature fires elsewhere.
`same_family`: a random window of the families of documents (see `family_of`) in which the judged firing ones
stand. `near_miss`: without a firing, yet it holds a token the feature fires on.
`neighbour`: without a firing, yet a feature fires there that is near by direction or by firing together.
`other`: a top window of one other feature, used as a negative (O'Neill et al. 2024). `wrong_marks`: an activating
window whose marks stand where the feature is silent. `suppressed`: an entry of the vocabulary that it makes less
likely. `embedding_near`: a random window whose text is nearest to the judged firing ones'. Only verdicts carry these
and `same_family`."""

WITHIN_DOMAIN: frozenset[Kind] = frozenset({"same_document", "same_family"})
"""Silent kinds that what a text is about does not tell from firing ones."""

HARD: frozenset[Kind] = frozenset({"near_miss", "neighbour", "embedding_near"})
"""Silent kinds chosen to mislead: scored apart, never part of F1, which they would make a matter of how many there
are."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one document of one role, with one feature's activations over it.

    `token_starts` has one entry per token and one more for the end: token i covers the bytes
    `token_starts[i]:token_starts[i + 1]` of the text's UTF-8 form. The text holds whole characters, so it may
    begin a few bytes before the first token and end a few bytes after the last one. `activations` are the
    feature's values under its firing rule: zero where it is silent. `candidate` is the index of the token
    that the marked task asks about: the maximum in activating windows, a token chosen by the window's kind
    in silent ones. `bin` is the activation bin of the maximum (0 lowest), None in silent windows.
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

    @property
    def is_firing(self) -> bool:
        """Whether the feature fires anywhere in the window: the label a verdict is held against."""
        return self.kind in ACTIVATING

    @property
    def max_activation(self) -> float:
        return max(self.activations)

    def token_text(self, index: int) -> str:
        """Token `index` as text for display; a part of a character is shown as U+FFFD."""
        raw = self.text.encode()[self.token_starts[index] : self.token_starts[index + 1]]
        return raw.decode("utf-8", errors="replace")

    def token_texts(self) -> list[str]:
        """All tokens as text for display."""
        return [self.token_text(index) for index in range(len(self.token_ids))]

    def character_span(self, index: int) -> tuple[int, int]:
        """Token `index` as a span of characters of `text`, widened to whole characters."""
        raw = self.text.encode()
        start, end = self.token_starts[index], self.token_starts[index + 1]
        while 0 < start < len(raw) and raw[start] & 0xC0 == 0x80:
            start -= 1
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end += 1
        return len(raw[:start].decode()), len(raw[:end].decode())

    def piece_spans(self) -> list[tuple[int, int]]:
        """The tokens as spans of characters that share the whole text out between them.

        A character belongs to the token in which it begins, so a token that holds only the rest of a character has an
        empty span; what lies outside the tokens belongs to the first and the last one.
        """
        raw, n = self.text.encode(), len(self.token_ids)
        edges = [0, *self.token_starts[1:n], len(raw)]
        for index in range(1, n):
            while edges[index] < len(raw) and raw[edges[index]] & 0xC0 == 0x80:
                edges[index] += 1
        places = [len(raw[:edge].decode()) for edge in edges]
        return list(pairwise(places))

    def owners(self) -> list[int]:
        """For each token the place of the one whose piece of the text it is shown in: mostly its own."""
        found: list[int] = []
        for index, (start, end) in enumerate(self.piece_spans()):
            found.append(index if start < end or not found else found[-1])
        return found
