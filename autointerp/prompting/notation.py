"""How the texts of windows are written in a prompt: quoted, with marked spans and, if wanted, visible word splits.

Version 1 marks with `<< >>` and escapes angle brackets of the text (`prompting.marking`). Version 2 marks with `« »`,
one token each in most vocabularies, and writes the text's own ones as \\u escapes of JSON: marks touch no other escape,
and what stands bare in the string is ours. So is a `·`, where a token ends within a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from autointerp.prompting.marking import Span, mark, quote, unmark
from autointerp.records.window import Window

__all__ = ["Notation", "word_cuts"]

_OPEN, _CLOSE, _CUT = "\u00ab", "\u00bb", "\u00b7"
_OWN = {sign: f"\\u{ord(sign):04x}" for sign in (_OPEN, _CLOSE, _CUT)}


@dataclass(frozen=True, slots=True)
class Notation:
    """`has_brackets`: marks are `« »`. `has_cuts`: splits of words are shown."""

    has_brackets: bool
    has_cuts: bool

    @classmethod
    def of(cls, changes: Collection[str]) -> Notation:
        """The notation of a prompt with these changes to version 1."""
        return cls("marks" in changes, "boundaries" in changes)

    def write_window(self, window: Window, spans: Sequence[Span] | None = None) -> str:
        """The window's text as one line of JSON, with `spans` of characters marked; None where no text has marks."""
        return self.write(window.text, spans, word_cuts(window) if self.has_cuts else ())

    def write(self, text: str, spans: Sequence[Span] | None = None, cuts: Sequence[int] = ()) -> str:
        """As `write_window`. Cuts (places between characters, rising) at or within a span are not shown.

        Raises ValueError as `mark`.
        """
        whole = [place for place in cuts if not any(start <= place <= end for start, end in spans or ())]
        if not whole:
            return f'"{self._part(text, spans)}"'
        parts = []
        for start, end in pairwise([0, *whole, len(text)]):
            inner = None if spans is None else [(a - start, b - start) for a, b in spans if start <= a and b <= end]
            parts.append(self._part(text[start:end], inner))
        return f'"{_CUT.join(parts)}"'

    def read(self, written: str) -> tuple[str, list[Span]]:
        """Text and spans given to `write`."""
        quoted = written.replace(_CUT, "") if self.has_cuts else written
        if not self.has_brackets:
            return unmark(json.loads(quoted))
        text, starts, spans = "", [], []
        for piece in re.split(f"([{_OPEN}{_CLOSE}])", quoted[1:-1]):
            if piece == _OPEN:
                starts.append(len(text))
            elif piece == _CLOSE:
                spans.append((starts.pop(), len(text)))
            else:
                text += json.loads(f'"{piece}"')
        return text, spans

    def _part(self, text: str, spans: Sequence[Span] | None) -> str:
        """The inside of the JSON string of a stretch without cuts."""
        if not self.has_brackets:
            return self._quote(text if spans is None else mark(text, spans))
        parts, last = [], 0
        for start, end in spans or ():
            if not last <= start <= end <= len(text):
                raise ValueError(f"span ({start}, {end}) is out of order or outside a text of {len(text)} characters")
            parts += [self._quote(text[last:start]), _OPEN, self._quote(text[start:end]), _CLOSE]
            last = end
        return "".join([*parts, self._quote(text[last:])])

    def _quote(self, text: str) -> str:
        quoted = quote(text)[1:-1]
        for sign in (*((_OPEN, _CLOSE) if self.has_brackets else ()), *((_CUT,) if self.has_cuts else ())):
            quoted = quoted.replace(sign, _OWN[sign])
        return quoted


def word_cuts(window: Window) -> list[int]:
    """Places in the text where a token ends within a word or number."""
    text = window.text
    ends = sorted({end for _, end in window.piece_spans()})
    return [end for end in ends if 0 < end < len(text) and _is_of_word(text[end - 1]) and _is_of_word(text[end])]


def _is_of_word(character: str) -> bool:
    return character.isalnum() or character in "_'\u2019"
