"""Where windows may stand in a batch: segments, which are runs of tokens of one document within one context."""

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
    """The one rule of placing windows, firing and silent ones alike, so that a position betrays nothing.

    A window surrounds its anchor, the token the marked task asks about. By default a hash of the eight tokens up to the
    anchor draws how many stand left of it, so that repeated passages give equal windows, and a window that would leave
    its segment is shifted into it. A fixed one is cut there.
    """

    left: int
    right: int
    is_fixed: bool

    @classmethod
    def of(cls, config: HarvestConfig) -> Placement:
        return cls(config.window_left, config.window_right, config.fixed_position)

    @property
    def n_tokens(self) -> int:
        return self.left + self.right + 1

    @property
    def min_tokens(self) -> int:
        """The shortest window that is used."""
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
        # between a quarter of the window and all but an eighth stand left
        least, most = n // 4, max(n // 4, n - 1 - n // 8)
        left = least + (draw % np.uint64(most - least + 1)).astype(np.int64)
        low = np.maximum(anchor - left, start)
        high = np.minimum(low + n, end)
        return np.maximum(high - n, start), high


class TextBatch:
    """A packed batch as flat arrays of its text tokens in reading order, [n] each."""

    def __init__(self, batch: PackedBatch, *, seed: int, gap: int) -> None:
        document = batch.document.flatten().cpu().numpy()
        self.role: Role = batch.role
        # positions in the flattened batch
        self.flat = np.flatnonzero(document >= 0)
        self.token = batch.tokens.flatten().cpu().numpy()[self.flat]
        self.offset = batch.offset.flatten().cpu().numpy()[self.flat]
        own = document[self.flat]
        # [2 n] where each token begins and ends in its document's bytes
        self.spans = None if batch.spans is None else batch.spans.flatten(1).cpu().numpy()[:, self.flat]
        self._texts, self._own = batch.texts, own
        # 1 for the last token of a document, 0 for others, -1 where that is not known
        last = np.array(batch.last_offsets, dtype=np.int64)[own] if batch.last_offsets else None
        self.is_last = np.full(len(own), -1) if last is None else (self.offset == last).astype(np.int64)
        self.names = np.array(batch.documents, dtype=object)[own] if len(own) else np.empty(0, dtype=object)
        codes = np.array([_document_code(seed, name) for name in batch.documents], dtype=np.uint64)
        # hash of the document's id
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
        # the token's segment as places in these arrays
        self.start, self.end = (starts[segment], ends[segment]) if n else (starts, starts)
        # coordinates in which different segments are at least `gap` apart
        self.apart = np.arange(n) + segment * gap
        # a hash of each token's document and place in it
        self.here = mix(self.document ^ mix(self.offset.astype(np.uint64)))
        # what draws the left context
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
        """[n] `text` of the windows [first, past) and [n, n_tokens + 1] `starts` of their tokens in its bytes, the last
        end repeated; nothing where ids spell the text.
        """
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
    """[n] `TextBatch.here` of a batch."""
    document = batch.document.flatten().cpu().numpy()
    flat = np.flatnonzero(document >= 0)
    codes = np.array([_document_code(seed, name) for name in batch.documents], dtype=np.uint64)
    offset = batch.offset.flatten().cpu().numpy()[flat].astype(np.uint64)
    return mix(codes[document[flat]] ^ mix(offset)) if len(flat) else np.empty(0, dtype=np.uint64)


@lru_cache(maxsize=4096)
def _document_code(seed: int, document: str) -> np.uint64:
    return code(seed, "document", document)
