"""Features that may be taken for another: those that point its way, and those that fire when it does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

import numpy as np
from scipy import sparse

from autointerp.harvest.firing import Firings
from autointerp.records.evidence import Neighbour

__all__ = ["N_EACH", "CoFirings", "find_neighbours"]

# neighbours by direction, and as many by firing together
N_EACH = 2
# tokens on which firing together is counted: those with the lowest hashes
N_TOKENS = 32_768
_CHUNK = 1024


class CoFirings:
    """The features that fire on each of a sample of tokens, drawn by hash: parts of a stream merge exactly."""

    def __init__(self, n_features: int, *, n_tokens: int = N_TOKENS) -> None:
        self.n_features, self.n_tokens = n_features, n_tokens
        self._bound = np.uint64(2**64 - 1)
        # per part of the stream: the hashes of its tokens, and of each firing the hash of its token and the feature
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._n_kept = 0

    def add(self, firings: Firings, draw: np.ndarray) -> None:
        """draw: [n] the hash of each row of the batch."""
        of = draw[firings.row]
        is_low = of <= self._bound
        self._join(draw[draw <= self._bound], of[is_low], firings.feature[is_low])

    def merge(self, other: CoFirings) -> None:
        for part in other._parts:
            self._join(*part)

    def together(self) -> sparse.csr_matrix:
        """[n_tokens kept, n_features] 1 where a feature fires, in an order that does not depend on the stream's."""
        kept, draw, feature = self._cut()
        row = np.searchsorted(kept, draw)
        ones = np.ones(len(row), dtype=np.int32)
        return sparse.csr_matrix((ones, (row, feature)), shape=(len(kept), self.n_features))

    def _join(self, kept: np.ndarray, draw: np.ndarray, feature: np.ndarray) -> None:
        self._parts.append((kept, draw, feature.astype(np.int32)))
        self._n_kept += len(kept)
        if self._n_kept > 2 * self.n_tokens:
            self._cut()

    def _cut(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The parts as one, cut to the tokens of lowest hash."""
        if not self._parts:
            self._parts.append((np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int32)))
        kept, draw, feature = (np.concatenate(columns) for columns in zip(*self._parts, strict=True))
        kept = np.unique(kept)[: self.n_tokens]
        if len(kept) == self.n_tokens:
            self._bound = kept[-1]
            stays = draw <= self._bound
            draw, feature = draw[stays], feature[stays]
        self._parts, self._n_kept = [(kept, draw, feature)], len(kept)
        return self._parts[0]


def find_neighbours(
    features: np.ndarray, *, directions: np.ndarray, is_live: np.ndarray, firings: CoFirings
) -> tuple[tuple[Neighbour, ...], ...]:
    """The neighbours of each of `features`, by direction and by firing together in turns, nearest first.

    directions: [n_features, d] with the sign of the firing rule. is_live: [n_features] which may be neighbours.
    """
    norms = np.linalg.norm(directions, axis=1, keepdims=True)
    unit = directions / np.maximum(norms, 1e-12)
    matrix = firings.together()
    sizes = np.asarray(matrix.sum(axis=0)).ravel()
    neighbours: list[tuple[Neighbour, ...]] = []
    for start in range(0, len(features), _CHUNK):
        chunk = features[start : start + _CHUNK]
        cosine = unit[chunk] @ unit.T
        both = (matrix[:, chunk].T @ matrix).tocsr()
        for place, feature in enumerate(chunk.tolist()):
            may_be = is_live.copy()
            may_be[feature] = False
            shared = both[place].toarray().ravel()
            jaccard = shared / np.maximum(sizes + sizes[feature] - shared, 1)
            pairs = zip_longest(_largest(cosine[place], may_be), _largest(jaccard, may_be))
            chosen = dict.fromkeys(other for other in chain.from_iterable(pairs) if other is not None)
            neighbours.append(tuple(Neighbour(i, float(cosine[place, i]), float(jaccard[i])) for i in chosen))
    return tuple(neighbours)


def _largest(values: np.ndarray, may_be: np.ndarray) -> Sequence[int]:
    """The places of the `N_EACH` largest values above 0; of equal ones the first."""
    # the cosine of two directions is above 0 by rounding alone where they are at a right angle
    places = np.flatnonzero(may_be & (values > 1e-6))
    return places[np.argsort(-values[places], kind="stable")[:N_EACH]].tolist()
