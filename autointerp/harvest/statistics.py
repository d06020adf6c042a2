"""Pass 1: how often and how strongly every feature fires, on which tokens, per role."""

from __future__ import annotations

import numpy as np

from autointerp.harvest.firing import Firings
from autointerp.harvest.neighbours import CoFirings
from autointerp.harvest.token_counts import TokenCounts
from autointerp.records.document import Role
from autointerp.seeds import stream

__all__ = ["HISTOGRAM_EDGES", "ROLES", "FeatureStatistics", "drawing_order"]

ROLES: tuple[Role, Role] = ("explain", "score")

BINS_PER_OCTAVE = 4
LOWEST, HIGHEST = -20, 20
# fixed edges, not fitted ones: parts of a stream merge exactly
N_BINS = (HIGHEST - LOWEST) * BINS_PER_OCTAVE
# from 2^-20 to 2^20, four bins to the doubling; activations beyond either end count in the last bin there
HISTOGRAM_EDGES = np.exp2(np.arange(N_BINS + 1) / BINS_PER_OCTAVE + LOWEST)


def drawing_order(seed: int, dictionary: str, n_features: int) -> np.ndarray:
    """[n_features] the features in the order they are drawn in; a sample is the first live ones."""
    return stream(seed, "features", dictionary).permutation(n_features)


class FeatureStatistics:
    """Counts of one dictionary; parts of a stream merge exactly. Arrays begin with the role (explain, score)."""

    def __init__(self, n_features: int, *, order: np.ndarray, vocab_size: int) -> None:
        self.n_features = n_features
        self.order = order
        self.n_tokens = np.zeros(len(ROLES), dtype=np.int64)
        self.n_firing = np.zeros((len(ROLES), n_features), dtype=np.int64)
        self.maximum = np.zeros((len(ROLES), n_features), dtype=np.float32)
        # of activations above 0
        self.minimum = np.full((len(ROLES), n_features), np.inf, dtype=np.float32)
        self.histogram = np.zeros((len(ROLES), n_features, N_BINS), dtype=np.int64)
        rank = np.empty(n_features, dtype=np.int64)
        rank[order] = np.arange(n_features)
        # of the explain role only
        self.tokens = TokenCounts(rank, vocab_size=vocab_size)
        # of both roles
        self.together = CoFirings(n_features)

    def add(self, firings: Firings, *, tokens: np.ndarray, role: Role, draws: np.ndarray | None = None) -> None:
        """tokens: [batch] ids. draws: [batch] their hashes; without them no firing together is counted."""
        index = ROLES.index(role)
        feature, row, value = firings
        self.n_tokens[index] += len(tokens)
        self.n_firing[index] += np.bincount(feature, minlength=self.n_features)
        if len(feature):
            # firings are in order of feature, so each feature is one run of them
            starts = np.flatnonzero(np.concatenate([[True], feature[1:] != feature[:-1]]))
            present = feature[starts]
            self.maximum[index, present] = np.maximum(self.maximum[index, present], np.maximum.reduceat(value, starts))
            self.minimum[index, present] = np.minimum(self.minimum[index, present], np.minimum.reduceat(value, starts))
            cells = feature * N_BINS + _bins(value)
            np.add.at(self.histogram[index].reshape(-1), cells, 1)
        if draws is not None:
            self.together.add(firings, draws)
        if role == "explain":
            self.tokens.add_totals(tokens)
            self.tokens.add(feature, tokens[row])

    def merge(self, other: FeatureStatistics) -> None:
        self.n_tokens += other.n_tokens
        self.n_firing += other.n_firing
        self.histogram += other.histogram
        np.maximum(self.maximum, other.maximum, out=self.maximum)
        np.minimum(self.minimum, other.minimum, out=self.minimum)
        self.tokens.merge(other.tokens)
        self.together.merge(other.together)

    def draw(self, n: int | None, *, min_firing: int, density: tuple[float, float] | None = None) -> np.ndarray:
        """The first `n` live features of the drawing order (None: all), ascending. Live ones fire `min_firing` times or
        more, and at a rate within `density`.
        """
        is_live = self.n_firing.sum(axis=0) >= min_firing
        if density is not None:
            is_live &= (self.densities >= density[0]) & (self.densities <= density[1])
        return np.sort(self.order[is_live[self.order]][:n])

    def range(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """([n] smallest, [n] largest activation above 0) over both roles; (1, 1) for a feature that never fires."""
        low, high = self.minimum[:, features].min(axis=0), self.maximum[:, features].max(axis=0)
        never = high <= 0
        return np.where(never, 1.0, low), np.where(never, 1.0, high)

    @property
    def densities(self) -> np.ndarray:
        """[n_features] over both roles."""
        return self.n_firing.sum(axis=0) / max(1, self.n_tokens.sum())

    def density(self, feature: int) -> float:
        return float(self.n_firing[:, feature].sum() / max(1, self.n_tokens.sum()))

    def histogram_of(self, feature: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """(edges, counts) over both roles without empty bins at the ends; both empty where it never fires."""
        counts = self.histogram[:, feature].sum(axis=0)
        used = np.flatnonzero(counts)
        if not len(used):
            return (), ()
        low, high = used[0], used[-1] + 1
        return tuple(HISTOGRAM_EDGES[low : high + 1].tolist()), tuple(counts[low:high].tolist())


def _bins(value: np.ndarray) -> np.ndarray:
    places = np.floor((np.log2(value) - LOWEST) * BINS_PER_OCTAVE).astype(np.int64)
    return places.clip(0, N_BINS - 1)
