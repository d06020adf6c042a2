"""Expected numbers in a judge's reply, from log-probabilities.

After Bills et al. 2023: the mean of the numbers 0 to 10, weighted by the probabilities of their tokens. The written
number counts where tokens are unknown, or alternatives too improbable or ambiguous (`1` may begin 10).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from autointerp.judges.judge import Reply
from autointerp.prompting.numbers import Numbers
from autointerp.prompting.probabilities import Tokens, squeeze, token_places

__all__ = ["LEAST_MASS", "MOST_AMBIGUOUS", "expected_values"]

LEAST_MASS = 0.5
"""Least probability of all alternatives that spell numbers."""
MOST_AMBIGUOUS = 0.02
"""Largest share of it for a `1` that may begin 10."""

_DIGITS = re.compile(r"([0-9]+)(.*)", re.DOTALL)


def expected_values(reply: Reply, numbers: Numbers, *, highest: int) -> tuple[float, ...]:
    """Expected values; written ones where unknown."""
    tokens = reply.token_logprobs
    if not tokens or numbers.starts is None:
        return numbers.values
    places = token_places(reply.text, tokens, numbers.starts)
    if places is None:
        return numbers.values
    is_whole = _spells_ten(tokens)
    expected: list[float] = []
    for written, (index, before) in zip(numbers.values, places, strict=True):
        value = _expect(tokens, index, before, written, highest=highest, is_whole=is_whole)
        expected.append(written if value is None else value)
    return tuple(expected)


def _spells_ten(tokens: Tokens) -> bool:
    """Whether the judge writes 10 as one token, judging by this reply."""
    return any(squeeze(text).lstrip("[,\"'") == "10" for _, seen in tokens for text in seen)


def _expect(tokens: Tokens, index: int, before: str, written: float, *, highest: int, is_whole: bool) -> float | None:
    if not written.is_integer():
        return None
    mass, n_open = _masses(tokens[index][1], before, highest=highest, is_whole=is_whole)
    if n_open and written in (1.0, 10.0) and index + 1 < len(tokens):
        # the token after the written 1 says whether it goes on
        going_on = _share_of_zero(tokens[index + 1][1])
        if going_on is not None:
            mass[1] = mass.get(1, 0.0) + n_open * (1.0 - going_on)
            mass[10] = mass.get(10, 0.0) + n_open * going_on
            n_open = 0.0
    total = sum(mass.values()) + n_open
    if total < LEAST_MASS or n_open / total > MOST_AMBIGUOUS:
        return None
    return (sum(number * share for number, share in mass.items()) + n_open) / total


def _masses(
    alternatives: Mapping[str, float], before: str, *, highest: int, is_whole: bool
) -> tuple[dict[int, float], float]:
    """Probability of each number, and of a `1` that may begin 10."""
    mass: dict[int, float] = {}
    n_open = 0.0
    for token, logprob in alternatives.items():
        piece = squeeze(token)
        match = _DIGITS.match(piece[len(before) :].lstrip("\"'")) if piece.startswith(before) else None
        if match is None or math.isnan(logprob):
            continue
        number, probability = int(match[1]), math.exp(min(0.0, logprob))
        if number == 1 and not match[2] and not is_whole and highest >= 10:
            n_open += probability
        elif number <= highest:
            mass[number] = mass.get(number, 0.0) + probability
    return mass, n_open


def _share_of_zero(alternatives: Mapping[str, float]) -> float | None:
    """Probability that the next token begins with the 0 of 10."""
    known = [(squeeze(token), math.exp(min(0.0, logprob))) for token, logprob in alternatives.items()]
    total = sum(p for _, p in known)
    return sum(p for piece, p in known if piece.startswith("0")) / total if total >= LEAST_MASS else None
