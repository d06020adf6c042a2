"""On which tokens features fire: exact counts of the (feature, token) pairs that occur, and of all tokens."""

from __future__ import annotations

import numpy as np

__all__ = ["TokenCounts"]

# distinct pairs held (16 bytes each) before features are given up
MAX_PAIRS = 1 << 25
BUFFER_PAIRS = 1 << 21
TOKEN_BITS = 32


class TokenCounts:
    """Firings per (feature, token), mergeable. rank: [n_features] each feature's place in the drawing order."""

    def __init__(self, rank: np.ndarray, *, vocab_size: int, max_pairs: int = MAX_PAIRS) -> None:
        self.rank = rank
        # at `max_pairs` the features of highest rank are dropped: counts are exact below this rank
        self.rank_limit = len(rank)
        self.max_pairs = max_pairs
        self.totals = np.zeros(vocab_size, dtype=np.int64)
        self._keys = np.empty(0, dtype=np.int64)
        self._counts = np.empty(0, dtype=np.int64)
        self._waiting: list[np.ndarray] = []
        self._n_waiting = 0

    def add(self, feature: np.ndarray, token: np.ndarray) -> None:
        if self.rank_limit < len(self.rank):
            known = self.rank[feature] < self.rank_limit
            feature, token = feature[known], token[known]
        self._waiting.append((feature.astype(np.int64) << TOKEN_BITS) | token)
        self._n_waiting += len(feature)
        if self._n_waiting > BUFFER_PAIRS:
            self._compact()

    def add_totals(self, token: np.ndarray) -> None:
        self.totals += np.bincount(token, minlength=len(self.totals))

    def merge(self, other: TokenCounts) -> None:
        other._compact()
        self._compact()
        keys, places = np.unique(np.concatenate([self._keys, other._keys]), return_inverse=True)
        counts = np.zeros(len(keys), dtype=np.int64)
        np.add.at(counts, places, np.concatenate([self._counts, other._counts]))
        self._keys, self._counts = keys, counts
        self.rank_limit = min(self.rank_limit, other.rank_limit)
        self.totals += other.totals
        self._keep_within_limits()

    def top(self, feature: int, n: int) -> list[tuple[int, int, int]]:
        """(token, n_firing, n_tokens) of the tokens a feature fires on, most firings first."""
        if self._n_waiting:
            self._compact()
        low, high = np.searchsorted(self._keys, [feature << TOKEN_BITS, (feature + 1) << TOKEN_BITS])
        tokens = self._keys[low:high] & ((1 << TOKEN_BITS) - 1)
        counts = self._counts[low:high]
        order = np.lexsort((tokens, -counts))[:n]
        return [(int(tokens[i]), int(counts[i]), int(self.totals[tokens[i]])) for i in order]

    def _compact(self) -> None:
        keys, counts = np.unique(np.concatenate([*self._waiting, np.empty(0, np.int64)]), return_counts=True)
        self._waiting, self._n_waiting = [], 0
        if len(self._keys):
            merged, places = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
            sums = np.zeros(len(merged), dtype=np.int64)
            np.add.at(sums, places, np.concatenate([self._counts, counts]))
            keys, counts = merged, sums
        self._keys, self._counts = keys, counts.astype(np.int64)
        self._keep_within_limits()

    def _keep_within_limits(self) -> None:
        rank = self.rank[self._keys >> TOKEN_BITS]
        if len(self._keys) > self.max_pairs:
            below = np.cumsum(np.bincount(rank, minlength=len(self.rank)))
            self.rank_limit = min(self.rank_limit, int(np.searchsorted(below, self.max_pairs // 2, side="right")))
        known = rank < self.rank_limit
        if not known.all():
            self._keys, self._counts = self._keys[known], self._counts[known]
