r"""Windows as safe prompt text: marks, quoting, strengths.

Marked tokens stand between `<<` and `>>`. An angle bracket of the text is written `\<` or `\>` where it touches its
kind or a mark; backslashes before angle brackets are doubled. `unmark` inverts this exactly.

Texts enter prompts as JSON strings on one line. Invisible characters and signs of control tokens (`<|`, `[INST]`,
`</think>`, ...) become \u escapes: many servers would read such a token as the end of a turn. Nothing is cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise

from autointerp.judges.tasks import ShownWindow
from autointerp.records.window import Window

__all__ = ["Span", "firing_spans", "mark", "quote", "show", "strength", "token_pieces", "token_starts", "unmark"]

_INVISIBLE = re.compile(
    "[\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\uffff\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    # a stroke that a tokenizer's normal form would join to a mark
    "|(?<=[<>])\u0338"
)
"""Unicode's default-ignorable, format and separator characters, except joiners and the emoji selector, which scripts
need.
"""

_CONTROL_TOKEN = re.compile(
    r"(?<=<)[|\uff5c]|[|\uff5c](?=>)"
    r"|(?<=<)(?=/?(?:s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn|(?:[a-z]{1,8}:)?think(?:ing)?)>)[/a-z]"
    r"|\[(?=/?(?:INST|THINK|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|gMASK)\])"
    r"|\u25c1(?=/?think\u25b7)",
    re.IGNORECASE,
)
_ANGLES = re.compile(r"(?<!\\)(\\*+)([<>])")
_SLASHES = re.compile(r"\\*")
_ENCODER = json.JSONEncoder(ensure_ascii=False)

Span = tuple[int, int]


def quote(text: str) -> str:
    """`text` as one line of JSON; `json.loads` inverts it exactly."""
    # of texts without UTF-8 form, a pair of lone surrogates comes back as one character
    quoted = _INVISIBLE.sub(_escaped, _ENCODER.encode(text))
    return _CONTROL_TOKEN.sub(_escaped, quoted)


def _escaped(found: re.Match[str]) -> str:
    """\\u escapes of one character."""
    return json.dumps(found[0])[1:-1] if ord(found[0]) > 0x7F else f"\\u{ord(found[0]):04x}"


def strength(activation: float, *, maximum: float) -> int:
    """Activation as an integer from 0 to 10, 10 at `maximum`, at least 1 where firing (Bills et al. 2023)."""
    if activation <= 0.0 or maximum <= 0.0:
        return 0
    return max(1, min(10, round(10.0 * activation / maximum)))


def mark(text: str, spans: Sequence[Span]) -> str:
    """`text` with `<<` and `>>` around each span of characters.

    Spans may touch or be empty. Raises ValueError if they are unordered, overlap or leave the text.
    """
    edges: dict[int, str] = {}
    last = 0
    for start, end in spans:
        if not last <= start <= end <= len(text):
            raise ValueError(f"span ({start}, {end}) is out of order or outside a text of {len(text)} characters")
        edges[start] = edges.get(start, "") + "<<"
        edges[end] = edges.get(end, "") + ">>"
        last = end
    # Cut at the marks, escape each part knowing whether a mark stands before and after it.
    cuts = sorted({0, len(text), *edges})
    parts = [edges.get(0, "")]
    for start, end in pairwise(cuts):
        parts.append(_escape(text[start:end], before=start in edges, after=end in edges))
        parts.append(edges.get(end, ""))
    return "".join(parts)


def unmark(marked: str) -> tuple[str, list[Span]]:
    """Text and spans given to `mark`."""
    parts: list[str] = []
    spans: list[Span] = []
    length = start = position = 0
    while position < len(marked):
        run = _SLASHES.match(marked, position)
        n_slashes = run.end() - position if run else 0
        at = position + n_slashes
        if at >= len(marked) or marked[at] not in "<>":
            piece, position = marked[position : at + 1], at + 1
        elif n_slashes % 2 == 0 and marked[at : at + 2] in ("<<", ">>"):
            piece, position = "\\" * (n_slashes // 2), at + 2
            if marked[at] == "<":
                start = length + len(piece)
            else:
                spans.append((start, length + len(piece)))
        else:
            piece, position = "\\" * (n_slashes // 2) + marked[at], at + 1
        parts.append(piece)
        length += len(piece)
    return "".join(parts), spans


def _escape(part: str, *, before: bool, after: bool) -> str:
    """Escape one stretch; `before` and `after` tell where marks touch it."""

    def write(found: re.Match[str]) -> str:
        slashes, angle = found[1], found[2]
        start, end = found.start(2), found.end(2)
        touches = (
            (start > 0 and part[start - 1] == angle and not slashes)
            or part[end : end + 1] == angle
            or (before and found.start() == 0)
            or (after and end == len(part))
        )
        return slashes * 2 + ("\\" if touches else "") + angle

    escaped = _ANGLES.sub(write, part)
    if after:
        n_trailing = len(part) - len(part.rstrip("\\"))
        escaped += "\\" * n_trailing
    return escaped


def firing_spans(window: Window) -> list[tuple[Span, float]]:
    """Spans of firing tokens with their activations, in order; tokens sharing a character are merged, with the
    maximum.
    """
    merged: list[tuple[Span, float]] = []
    for index, activation in enumerate(window.activations):
        if activation <= 0.0:
            continue
        start, end = window.character_span(index)
        if start == end:
            continue
        if merged and start < merged[-1][0][1]:
            (first, last), value = merged[-1]
            merged[-1] = ((first, max(last, end)), max(value, activation))
        else:
            merged.append(((start, end), activation))
    return merged


def token_pieces(window: Window) -> tuple[str, ...]:
    """Texts of the tokens, which join to the window's text (`Window.piece_spans`)."""
    return tuple(window.text[start:end] for start, end in window.piece_spans())


def token_starts(window: Window) -> tuple[int, ...]:
    """Characters at which the tokens begin that show any; the first is 0."""
    return tuple(start for start, end in window.piece_spans() if start < end)


def show(window: Window) -> ShownWindow:
    """Window as an explainer sees it."""
    pieces, activations = token_pieces(window), list(window.activations)
    for index in range(1, len(pieces)):
        # an empty piece's activation goes to the piece it belongs to
        if not pieces[index] and activations[index] > 0.0:
            owner = max((i for i in range(index) if pieces[i]), default=0)
            activations[owner] = max(activations[owner], activations[index])
            activations[index] = 0.0
    return ShownWindow(tokens=pieces, activations=tuple(activations))
