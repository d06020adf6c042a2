"""Computational proxies of a concept: which tokens of a text belong to it, told without any model of features."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autointerp.errors import ConfigError
from autointerp.studies.reading import Reading

__all__ = ["CONCEPTS", "Proxy", "mark"]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A concept by a pattern over text, or by the characters its strings are random sequences of."""

    name: str
    pattern: str | None = None
    alphabet: str | None = None


_WORD = "[0-9A-Za-z]"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

CONCEPTS = (
    Proxy("arabic", pattern=r"[\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc]+"),
    Proxy("hebrew", pattern=r"[\u0590-\u05ff\ufb1d-\ufb4f]+"),
    Proxy("dna", pattern=rf"(?<!{_WORD})[ACGT]{{6,}}(?!{_WORD})"),
    Proxy("dna-likelihood", alphabet="ACGT"),
    Proxy(
        "base64",
        pattern=r"(?<![0-9A-Za-z+/])(?=[^\s]{0,40}[0-9])(?=[^\s]{0,40}[a-z])(?=[^\s]{0,40}[A-Z])[0-9A-Za-z+/]{16,}={0,2}",
    ),
    Proxy("base64-likelihood", alphabet=_BASE64),
    Proxy(
        "hex",
        pattern=rf"(?<!{_WORD})(?=[0-9A-Fa-f]*[0-9])(?=[0-9A-Fa-f]*[A-Fa-f])[0-9A-Fa-f]{{8,}}(?!{_WORD})",
    ),
)
"""The paper's contexts. Scripts go by their Unicode blocks as there; strings by their form, and as there by
log P(s | context) - log P(s) > 0."""


def mark(reading: Reading, proxy: Proxy) -> NDArray[np.bool_]:
    """[n_tokens] which tokens are of the concept. Raises ConfigError for a pattern that is none."""
    if proxy.alphabet is not None:
        return _likelier(reading, proxy.alphabet)
    assert proxy.pattern is not None
    try:
        pattern = re.compile(proxy.pattern)
    except re.error as error:
        raise ConfigError(f"study.proxies.{proxy.name} = '{proxy.pattern}': no regular expression: {error}") from None
    return _matched(reading, pattern)


def _matched(reading: Reading, pattern: re.Pattern[str]) -> NDArray[np.bool_]:
    """Tokens that share a byte with a match; characters cut by a token's end are whole in the document's text."""
    marks = np.zeros(reading.n_tokens, dtype=bool)
    for number, raw in enumerate(reading.texts):
        first, past = np.searchsorted(reading.document, [number, number + 1])
        text, places = _decoded(raw)
        inside = np.zeros(len(raw) + 1, dtype=np.int64)
        for match in pattern.finditer(text):
            if match.end() > match.start():
                inside[places[match.start()] : places[match.end()]] = 1
        before = np.concatenate([[0], np.cumsum(inside)])
        marks[first:past] = before[reading.end[first:past]] > before[reading.start[first:past]]
    return marks


def _decoded(raw: bytes) -> tuple[str, NDArray[np.int64]]:
    """(text, [n_characters + 1] the byte at which each character begins); bytes that are no text count one each."""
    text = raw.decode("utf-8", "surrogateescape")
    lengths = [len(character.encode("utf-8", "surrogateescape")) for character in text]
    return text, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _likelier(reading: Reading, alphabet: str) -> NDArray[np.bool_]:
    """Tokens in a pair of neighbours that random characters of `alphabet` are likelier to give than this text's tokens
    at their own rates (Bricken et al. 2023, Proxies: single tokens such as CAT say too little).
    """
    kinds, place, counts = np.unique(reading.token, return_inverse=True, return_counts=True)
    examples = np.unique(place, return_index=True)[1]
    own, allowed = np.log(counts / reading.n_tokens), set(alphabet.encode())
    ratio = np.empty(len(kinds))
    for kind, at in enumerate(examples.tolist()):
        piece = reading.texts[reading.document[at]][reading.start[at] : reading.end[at]]
        is_possible = piece and set(piece) <= allowed
        ratio[kind] = -len(piece) * math.log(len(alphabet)) - own[kind] if is_possible else -math.inf
    score = ratio[place]
    pair = np.where(reading.has_next[:-1], score[:-1] + score[1:], -math.inf) if len(score) > 1 else np.empty(0)
    marks = np.zeros(reading.n_tokens, dtype=bool)
    marks[:-1] |= pair > 0
    marks[1:] |= pair > 0
    return marks
