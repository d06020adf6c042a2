"""Probability of a 1 for each answer of a reply, from a judge's own probabilities or its tokens' log-probabilities.

At an answer's first token, alternatives for firing have mass p1, those for silent p0; the result is p1 / (p0 + p1).
Unlisted or undecided mass bounds it: the bounds' middle is returned if they are at most `WIDEST` apart, else None.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal

from autointerp.judges.judge import Reply
from autointerp.prompting.lists import LABEL_WORDS, UNKNOWN_WORDS
from autointerp.prompting.parsing import Answers

__all__ = ["WIDEST", "Tokens", "answer_probabilities", "squeeze", "token_places"]

WIDEST = 0.02
"""A returned probability is right to half of it."""

_MOST_ENDING = 4
"""Tokens that may be missing from the text's end: they end a turn."""
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_BYTES = re.compile(r"bytes:(?: ?\\x[0-9a-f]{2})+")
_NUMBER = re.compile(r"([01])(?:\.0*)?(?![\d.])")
_WORD = re.compile(r"[a-z]+")

_Says = Literal["silent", "fires", "either", "later", "other"]

Tokens = tuple[tuple[str, Mapping[str, float]], ...]


def answer_probabilities(reply: Reply, answers: Answers) -> tuple[float | None, ...]:
    """P(1) per answer; None where unknown or without answer."""
    values = answers.values
    own = reply.probabilities
    if own is not None and len(own) == len(values) and all(0.0 <= p <= 1.0 for p in own):
        probabilities: list[float | None] = list(own)
    elif reply.token_logprobs and answers.starts is not None:
        probabilities = _from_tokens(reply.text, reply.token_logprobs, answers.starts)
    else:
        probabilities = [None] * len(values)
    return tuple(None if value is None else p for value, p in zip(values, probabilities, strict=True))


def token_places(text: str, tokens: Tokens, starts: Sequence[int]) -> list[tuple[int, str]] | None:
    """Token of each place in the text, and its characters before that place; None where the tokens do not spell the
    text's end.
    """
    pieces = [squeeze(token) for token, _ in tokens]
    wanted = squeeze(text)
    # counted from the end: a stream may begin with reasoning that is no part of the text
    joined, n_ending = "".join(pieces), 0
    while not joined.endswith(wanted):
        n_ending += 1
        if n_ending > min(_MOST_ENDING, len(pieces)):
            return None
        joined = joined[: len(joined) - len(pieces[-n_ending])]
    ends = list(accumulate(map(len, pieces[: len(pieces) - n_ending])))
    first = ends[-1] - len(wanted)
    places: list[tuple[int, str]] = []
    for start in starts:
        place = first + len(squeeze(text[:start]))
        index = bisect_right(ends, place)
        places.append((index, pieces[index][: place - (ends[index] - len(pieces[index]))]))
    return places


def _from_tokens(text: str, tokens: Tokens, starts: tuple[int, ...]) -> list[float | None]:
    """Probability per place."""
    places = token_places(text, tokens, starts)
    if places is None:
        return [None] * len(starts)
    # who writes 0 and 1 does not mean an answer by a letter, which would add the noise of a whole alphabet
    is_number = [text[start : start + 2].lstrip("\"'")[:1].isdigit() for start in starts]
    return [
        _probability(tokens[index][1], before, is_number=n)
        for (index, before), n in zip(places, is_number, strict=True)
    ]


def _probability(alternatives: Mapping[str, float], before: str, *, is_number: bool) -> float | None:
    """P(1) among alternatives that continue the characters `before`."""
    mass: dict[_Says, float] = dict.fromkeys(("silent", "fires", "either", "later", "other"), 0.0)
    for token, logprob in alternatives.items():
        if math.isnan(logprob):
            return None
        mass[_says(squeeze(token), before, is_number=is_number)] += math.exp(min(0.0, logprob))
    silent, fires, open_mass = mass["silent"], mass["fires"], mass["either"]
    # the mass of an unseen side may be anything that is not listed
    if silent == 0.0 or fires == 0.0:
        open_mass += mass["later"] + max(0.0, 1.0 - sum(mass.values()))
    total = silent + fires + open_mass
    if silent + fires == 0.0 or open_mass / total > WIDEST:
        return None
    return (fires + open_mass / 2) / total


def _says(piece: str, before: str, *, is_number: bool) -> _Says:
    """Meaning of a token after the characters `before`: an answer, `either` as yet, or nothing before a `later` token.

    With `is_number`, words are no answers.
    """
    if not piece.startswith(before):
        return "later" if before.startswith(piece) else "other"
    rest = piece[len(before) :].lower().lstrip("\"'")
    if not rest:
        return "later"
    number = _NUMBER.match(rest)
    if number is not None:
        return "fires" if number[1] == "1" else "silent"
    match = _WORD.match(rest)
    if match is None or is_number:
        return "other"
    word = match[0]
    if word in LABEL_WORDS:
        return "fires" if LABEL_WORDS[word] else "silent"
    if len(word) < len(rest):
        return "other"
    words = (*LABEL_WORDS, *UNKNOWN_WORDS)
    begun = {LABEL_WORDS.get(whole) for whole in words if whole.startswith(word)}
    if len(begun) != 1:
        return "either" if begun else "other"
    label = begun.pop()
    return "other" if label is None else "fires" if label else "silent"


def squeeze(text: str) -> str:
    """Visible ASCII characters of a token, equal in all displays of it.

    Left out: spaces and their signs, other characters (a token may hold half of one) and `?` (stored for half of one).
    """
    byte = _BYTE.fullmatch(text)
    if byte is not None:
        text = chr(int(byte[1], 16))
    elif _BYTES.fullmatch(text):
        text = "".join(chr(int(byte, 16)) for byte in re.findall(r"\\x([0-9a-f]{2})", text))
    return "".join(c for c in text if "!" <= c <= "~" and c != "?")
