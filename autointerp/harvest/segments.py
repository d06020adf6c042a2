"""Where windows may stand in a batch: segments of documents, and the one rule by which a window is placed.

Takes packed batches. A segment is a run of tokens of one document within one context; no window leaves its segment.
The rule, the same for firing and silent windows, so that a position betrays nothing: a window has an anchor (the
token the marked task asks about), and a number of tokens left of it.
  varying (default): the number is drawn from a hash of the eight tokens up to the anchor, between a quarter of the
    window and all but an eighth, so some left context is always kept, and passages that are repeated word for word
    give windows that are equal word for word (which are then kept once); a window that would leave its segment is
    shifted into it, and is the whole segment where that is shorter.
  fixed: `left` tokens before the anchor and `right` after it; a window that would leave its segment is cut there.
A window shorter than a quarter of the full length is not used. Does not know features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from autointerp.config.tree import HarvestConfig
from autointerp.harvest.hashing import code, mix
from autointerp.records.document import Role
from autointerp.subject.packing import PackedBatch

__all__ = ["Placement", "TextBatch", "token_draws"]

CONTENT_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Placement:
    """The shape of windows: tokens left and right of the anchor, which vary unless `is_fixed`."""

    left: int
    right: int
    is_fixed: bool

    @classmethod
    def of(cls, config: HarvestConfig) -> Placement:
        return cls(config.window_left, config.window_right, config.fixed_position)

    @property
    def n_tokens(self) -> int:
        """Tokens in a whole window."""
        return self.left + self.right + 1

    @property
    def min_tokens(self) -> int:
        """Tokens in the shortest window that is used."""
        return max(1, self.n_tokens // 4)

    def place(
        self, anchor: np.ndarray, *, start: np.ndarray, end: np.ndarray, draw: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """([n] first, [n] one past the last position) of the windows around anchors in segments [start, end).

        draw: [n] uint64, the hash that decides the left context.
        """
        n = self.n_tokens
        if self.is_fixed:
            return np.maximum(anchor - self.left, start), np.minimum(anchor + self.right + 1, end)
        least, most = n // 4, max(n // 4, n - 1 - n // 8)
        left = least + (draw % np.uint64(most - least + 1)).astype(np.int64)
        low = np.maximum(anchor - left, start)
        high = np.minimum(low + n, end)
        return np.maximum(high - n, start), high


class TextBatch:
    """A packed batch as flat arrays of its text tokens, in reading order; every array is [n], one entry per token.

    flat: position in the flattened batch. token, offset: as packed. document: hash of the document's id (uint64).
    start, end: the token's segment as places in these arrays. place_code: what draws the left context there.
    apart: coordinates in which tokens of different segments are at least `gap` apart. spans: [2 n] where in its
    document's bytes each token begins and ends, None where ids spell the text.
    """

    def __init__(self, batch: PackedBatch, *, seed: int, gap: int) -> None:
        document = batch.document.flatten().cpu().numpy()
        self.role: Role = batch.role
        self.flat = np.flatnonzero(document >= 0)
        self.token = batch.tokens.flatten().cpu().numpy()[self.flat]
        self.offset = batch.offset.flatten().cpu().numpy()[self.flat]
        own = document[self.flat]
        self.spans = None if batch.spans is None else batch.spans.flatten(1).cpu().numpy()[:, self.flat]
        self._texts, self._own = batch.texts, own
        self.names = np.array(batch.documents, dtype=object)[own] if len(own) else np.empty(0, dtype=object)
        codes = np.array([_document_code(seed, name) for name in batch.documents], dtype=np.uint64)
        self.document = codes[own] if len(own) else np.empty(0, dtype=np.uint64)
        row = self.flat // batch.tokens.shape[1]
        n = len(self.flat)
        is_new = np.ones(n, dtype=bool)
        is_new[1:] = (
            (row[1:] != row[:-1]) | (own[1:] != own[:-1]) | (np.diff(self.flat) != 1) | (np.diff(self.offset) != 1)
        )
        segment = np.cumsum(is_new) - 1
        starts = np.flatnonzero(is_new)
        ends = np.append(starts[1:], n)
        self.start, self.end = (starts[segment], ends[segment]) if n else (starts, starts)
        self.apart = np.arange(n) + segment * gap
        self.here = mix(self.document ^ mix(self.offset.astype(np.uint64)))
        self.place_code = self._content()

    @property
    def n_tokens(self) -> int:
        return len(self.flat)

    def anchors(self, n_tokens: int) -> np.ndarray:
        """Places of one token per stretch of `n_tokens` of each document, drawn by hash: silent windows' anchors."""
        cell = (self.offset // n_tokens).astype(np.uint64)
        drawn = mix(self.document + mix(cell)) % np.uint64(n_tokens)
        return np.flatnonzero((self.offset % n_tokens).astype(np.uint64) == drawn)

    def written(self, first: np.ndarray, past: np.ndarray, *, n_tokens: int) -> dict[str, np.ndarray]:
        """Where ids do not spell the text: [n] `text` of the windows [first, past) and [n, n_tokens + 1] `starts` of
        their tokens in its bytes, the end of the last one repeated. Nothing else."""
        if self.spans is None:
            return {}
        text = np.empty(len(first), dtype=object)
        for place, (low, high) in enumerate(zip(first.tolist(), past.tolist(), strict=True)):
            raw = self._texts[self._own[low]]
            text[place] = raw[self.spans[0, low] : self.spans[1, high - 1]].decode()
        begins = self.spans[0, first][:, None]
        shown = np.minimum(first[:, None] + np.arange(n_tokens), past[:, None] - 1)
        starts = np.concatenate([np.zeros_like(begins), self.spans[1, shown] - begins], axis=1)
        return {"text": text, "starts": starts.astype(np.int32)}

    def _content(self) -> np.ndarray:
        place = np.arange(self.n_tokens)
        total = np.zeros(self.n_tokens, dtype=np.uint64)
        for back in range(min(CONTENT_TOKENS, self.n_tokens)):
            token = self.token[np.maximum(place - back, 0)].astype(np.uint64)
            salted = mix(token + np.uint64((back + 1) << 40))
            total += np.where(place - back >= self.start, salted, np.uint64(0))
        return mix(total)


def token_draws(batch: PackedBatch, *, seed: int) -> np.ndarray:
    """[n] a hash of each text token's document and place in it, in reading order: `TextBatch.here` without the rest."""
    document = batch.document.flatten().cpu().numpy()
    flat = np.flatnonzero(document >= 0)
    codes = np.array([_document_code(seed, name) for name in batch.documents], dtype=np.uint64)
    offset = batch.offset.flatten().cpu().numpy()[flat].astype(np.uint64)
    return mix(codes[document[flat]] ^ mix(offset)) if len(flat) else np.empty(0, dtype=np.uint64)


@lru_cache(maxsize=4096)
def _document_code(seed: int, document: str) -> np.uint64:
    return code(seed, "document", document)
