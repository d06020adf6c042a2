"""Pass 2: candidates for the windows of the sampled features, kept in bottom-k pools.

Every draw is a hash of (seed, dictionary, feature, document, offset), so parts of a stream merge exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autointerp.config.tree import HarvestConfig
from autointerp.harvest.firing import Firings
from autointerp.harvest.hashing import code, mix
from autointerp.harvest.peaks import find_peaks
from autointerp.harvest.pools import Pools
from autointerp.harvest.segments import Placement, TextBatch
from autointerp.harvest.statistics import ROLES
from autointerp.records.evidence import FiringCounts, Neighbour

__all__ = ["EDGE_TOKENS", "Plan", "Slots", "WindowCollector"]

# tokens kept on both sides of a window, to complete a character that its edge cuts
EDGE_TOKENS = 3
# candidates kept per window wanted
SPARE = 2


@dataclass(frozen=True, slots=True)
class Slots:
    """The numbering of pools per feature and role: `top`, the bins from the lowest on, then the rest."""

    n_bins: int

    @property
    def per_role(self) -> int:
        return self.n_bins + 6

    @property
    def random(self) -> int:
        return self.n_bins + 1

    @property
    def near_miss(self) -> int:
        return self.n_bins + 2

    @property
    def drawn(self) -> int:
        return self.n_bins + 3

    @property
    def neighbour(self) -> int:
        return self.n_bins + 4

    @property
    def same_document(self) -> int:
        return self.n_bins + 5

    def number(self, feature: np.ndarray, role: int, kind: np.ndarray | int) -> np.ndarray:
        """The pool of a feature's place in the sample, a role's index and a kind's index."""
        return (feature * len(ROLES) + role) * self.per_role + kind


@dataclass(frozen=True, eq=False)
class Plan:
    """What pass 2 looks for in one dictionary; arrays and tuples have one entry per feature of the sample."""

    dictionary: str
    # ascending
    features: np.ndarray
    # [n] the range of activations
    low: np.ndarray
    high: np.ndarray
    # the tokens it often fires on (explain role)
    near_tokens: tuple[tuple[int, ...], ...]
    # features that may be taken for it
    neighbours: tuple[tuple[Neighbour, ...], ...] = ()
    has_neighbour_windows: bool = False

    @cached_property
    def watched(self) -> np.ndarray:
        """The features whose firings pass 2 needs, ascending."""
        if not self.has_neighbour_windows:
            return self.features
        near = [neighbour.feature for neighbours in self.neighbours for neighbour in neighbours]
        return np.union1d(self.features, np.array(near, dtype=self.features.dtype))

    def own(self, firings: Firings) -> Firings:
        """Of the firings of `watched`, those of the sample, whose features count within it."""
        if len(self.watched) == len(self.features):
            return firings
        place = np.full(len(self.watched), -1, dtype=np.int64)
        place[np.searchsorted(self.watched, self.features)] = np.arange(len(self.features))
        feature = place[firings.feature]
        is_own = feature >= 0
        return Firings(feature[is_own], firings.row[is_own], firings.value[is_own])

    def near_peaks(self, feature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(feature of the sample, index into `feature`) where `feature` [n], places in `watched`, is a neighbour."""
        return _joined(self.neighbour_pairs, feature)

    def bins(self, feature: np.ndarray, value: np.ndarray, *, n_bins: int) -> np.ndarray:
        """The bin (0 lowest) of each value, in equal steps of the feature's range of activations (Bricken et al. 2023).

        feature: [n] places in the sample.
        """
        low, high = self.low[feature], self.high[feature]
        # Steps equal in the logarithm would fill most bins of a sparse code with firings next to zero: unfair against
        # coordinates, whose threshold cuts those off.
        share = (value - low) / np.maximum(high - low, 1e-12)
        return np.floor(share * n_bins).astype(np.int64).clip(0, n_bins - 1)

    def near_occurrences(self, token: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(feature, index into `token`) where `token` [n] is one of the feature's near tokens."""
        return _joined(self._near_pairs, token)

    @cached_property
    def _near_pairs(self) -> np.ndarray:
        """[n_pairs, 2] near token and the feature it belongs to, by token."""
        pairs = [(token, place) for place, tokens in enumerate(self.near_tokens) for token in tokens]
        return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)

    @cached_property
    def neighbour_pairs(self) -> np.ndarray:
        """[n_pairs, 2] place of a neighbour in `watched` and the feature it belongs to, by neighbour."""
        pairs = [
            (int(np.searchsorted(self.watched, neighbour.feature)), place)
            for place, neighbours in enumerate(self.neighbours)
            for neighbour in neighbours
        ]
        return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _joined(pairs: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(second of a pair, index into `wanted`) where `wanted` is the first of a pair. pairs: [n, 2] by their first."""
    low = np.searchsorted(pairs[:, 0], wanted, side="left")
    n_found = np.searchsorted(pairs[:, 0], wanted, side="right") - low
    place = np.repeat(np.arange(len(wanted)), n_found)
    ends = np.cumsum(n_found)
    within = np.arange(len(place)) - np.repeat(ends - n_found, n_found)
    return pairs[np.repeat(low, n_found) + within, 1], place


class WindowCollector:
    """The candidates of one dictionary."""

    def __init__(self, plan: Plan, config: HarvestConfig, *, seed: int) -> None:
        self.plan = plan
        self.placement = Placement.of(config)
        self.slots = Slots(config.n_bins)
        kept = [config.n_top, *[config.n_per_bin] * config.n_bins, config.n_random, config.n_near_miss]
        kept.append(config.n_drawn or 0)
        to_score = (config.n_neighbour or 0, config.n_same_document)
        wanted = [count for role in ROLES for count in (*kept, *(to_score if role == "score" else (0, 0)))]
        n = len(plan.features)
        # more than wanted: selection drops overlapping and repeated windows
        self.pools = Pools(np.tile(np.array(wanted) * SPARE, n))
        self.n_peaks = np.zeros((n, len(ROLES), config.n_bins), dtype=np.int64)
        self.n_windows = 0
        self.n_repeated = 0
        self.n_firing = np.zeros(n, dtype=np.int64)
        self._code = np.array([code(seed, "window", plan.dictionary, int(f)) for f in plan.features], dtype=np.uint64)

    def add(self, batch: TextBatch, watched: Firings) -> None:
        """`watched.feature` counts within the plan's `watched`."""
        if not len(self.plan.features) or not batch.n_tokens:
            return
        firings = self.plan.own(watched)
        keys = firings.feature * batch.n_tokens + firings.row
        self._add_activating(batch, firings, keys)
        self._add_random(batch, keys)
        self._add_near_misses(batch, keys)
        if batch.role == "score":
            self._add_same_document(batch, firings, keys)
            if self.plan.has_neighbour_windows:
                self._add_neighbours(batch, watched, keys)
        self._count(batch, firings)

    def merge(self, other: WindowCollector) -> None:
        self.pools.merge(other.pools)
        self.n_peaks += other.n_peaks
        self.n_windows += other.n_windows
        self.n_firing += other.n_firing

    def counts(self) -> list[FiringCounts]:
        """What each feature's windows are drawn from."""
        explain, score = (self.n_peaks[:, index].tolist() for index in range(len(ROLES)))
        return [
            FiringCounts(tuple(explain[place]), tuple(score[place]), self.n_windows, n_firing)
            for place, n_firing in enumerate(self.n_firing.tolist())
        ]

    def _add_activating(self, batch: TextBatch, firings: Firings, keys: np.ndarray) -> None:
        feature, anchor, value = self._peaks(batch, firings)
        bins = self.plan.bins(feature, value, n_bins=self.slots.n_bins)
        drawn = self._draw(batch, feature, anchor)
        # positive floats order as their bits do: the strongest get the lowest priority number
        strength = np.uint64(2**32 - 1) - value.astype(np.float32).view(np.uint32).astype(np.uint64)
        priority = (strength << np.uint64(32)) | (drawn >> np.uint64(32))
        role = ROLES.index(batch.role)
        lookup = (keys, firings.value)
        self._offer(batch, self.slots.number(feature, role, 0), priority, feature, anchor, lookup)
        self._offer(batch, self.slots.number(feature, role, 1 + bins), drawn, feature, anchor, lookup)
        # another salt than for the bins: what is drawn from all peaks is not what was drawn from a bin
        self._offer(batch, self.slots.number(feature, role, self.slots.drawn), mix(drawn), feature, anchor, lookup)
        cell = (feature * len(ROLES) + role) * self.slots.n_bins + bins
        self.n_peaks += np.bincount(cell, minlength=self.n_peaks.size).reshape(self.n_peaks.shape)

    def _peaks(self, batch: TextBatch, firings: Firings) -> Firings:
        """Peaks about which a window can stand."""
        reach = self.placement.n_tokens - 1
        span = int(batch.apart[-1]) + self.placement.n_tokens + 1
        peaks = find_peaks(firings.feature * span + batch.apart[firings.row], firings.value, reach=reach)
        first, past = self._spans(batch, firings.row[peaks])
        peaks = peaks[past - first >= self.placement.min_tokens]
        return Firings(*(part[peaks] for part in firings))

    def _add_random(self, batch: TextBatch, keys: np.ndarray) -> None:
        anchors = batch.anchors(self.placement.n_tokens)
        n = len(self.plan.features)
        feature, anchor = np.repeat(np.arange(n), len(anchors)), np.tile(anchors, n)
        slot = self.slots.number(feature, ROLES.index(batch.role), self.slots.random)
        self._offer(batch, slot, self._draw(batch, feature, anchor), feature, anchor, None, keys)

    def _add_near_misses(self, batch: TextBatch, keys: np.ndarray) -> None:
        feature, anchor = self.plan.near_occurrences(batch.token)
        slot = self.slots.number(feature, ROLES.index(batch.role), self.slots.near_miss)
        # another salt than for random windows: a near-miss is not likelier to be drawn for both
        priority = mix(self._draw(batch, feature, anchor))
        self._offer(batch, slot, priority, feature, anchor, None, keys)

    def _add_same_document(self, batch: TextBatch, firings: Firings, keys: np.ndarray) -> None:
        """Silent windows in the segments in which a feature fires."""
        n = batch.n_tokens
        pairs = np.unique(firings.feature * n + batch.start[firings.row])
        anchors = batch.anchors(self.placement.n_tokens)
        anchor, place = _joined(np.stack([batch.start[anchors], anchors], axis=1), pairs % n)
        feature = pairs[place] // n
        slot = self.slots.number(feature, ROLES.index(batch.role), self.slots.same_document)
        priority = mix(mix(mix(self._draw(batch, feature, anchor))))
        self._offer(batch, slot, priority, feature, anchor, None, keys)

    def _add_neighbours(self, batch: TextBatch, watched: Firings, keys: np.ndarray) -> None:
        is_near = np.isin(watched.feature, self.plan.neighbour_pairs[:, 0])
        peaks = self._peaks(batch, Firings(*(part[is_near] for part in watched)))
        feature, place = self.plan.near_peaks(peaks.feature)
        anchor = peaks.row[place]
        slot = self.slots.number(feature, ROLES.index(batch.role), self.slots.neighbour)
        priority = mix(mix(self._draw(batch, feature, anchor)))
        self._offer(batch, slot, priority, feature, anchor, None, keys)

    def _count(self, batch: TextBatch, firings: Firings) -> None:
        """Count the windows that stand as random ones do, and for each feature those it fires in."""
        first, past = self._spans(batch, batch.anchors(self.placement.n_tokens))
        is_good = past - first >= self.placement.min_tokens
        order = np.argsort(first[is_good], kind="stable")
        first, past = first[is_good][order], past[is_good][order]
        self.n_windows += len(first)
        # windows that may hold a row are those that begin at it or within a window's length before it
        low = np.searchsorted(first, firings.row - self.placement.n_tokens, side="right")
        n_found = np.searchsorted(first, firings.row, side="right") - low
        place = np.repeat(np.arange(len(firings.row)), n_found)
        window = np.repeat(low - (np.cumsum(n_found) - n_found), n_found) + np.arange(len(place))
        holds = past[window] > firings.row[place]
        pairs = np.unique(firings.feature[place[holds]] * max(1, len(first)) + window[holds])
        self.n_firing += np.bincount(pairs // max(1, len(first)), minlength=len(self.n_firing))

    def _spans(self, batch: TextBatch, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """([n] first, [n] one past the last row) of the windows about anchors."""
        return self.placement.place(at, start=batch.start[at], end=batch.end[at], draw=batch.place_code[at])

    def _draw(self, batch: TextBatch, feature: np.ndarray, anchor: np.ndarray) -> np.ndarray:
        return mix(batch.here[anchor] ^ self._code[feature])

    def _offer(
        self,
        batch: TextBatch,
        slot: np.ndarray,
        priority: np.ndarray,
        feature: np.ndarray,
        anchor: np.ndarray,
        values: tuple[np.ndarray, np.ndarray] | None,
        must_be_silent: np.ndarray | None = None,
    ) -> None:
        """`values`: firings to look activations up in. `must_be_silent`: keys of firings that no window may hold."""
        self.pools.offer(
            slot, priority, lambda at: self._candidates(batch, feature[at], anchor[at], values, must_be_silent)
        )

    def _candidates(
        self,
        batch: TextBatch,
        feature: np.ndarray,
        anchor: np.ndarray,
        values: tuple[np.ndarray, np.ndarray] | None,
        must_be_silent: np.ndarray | None,
    ) -> dict[str, np.ndarray]:
        """The windows around anchors that will do, and the places of their anchors."""
        first, past = self._spans(batch, anchor)
        is_good = past - first >= self.placement.min_tokens
        if must_be_silent is not None:
            base = feature * batch.n_tokens
            n_firing = np.searchsorted(must_be_silent, base + past) - np.searchsorted(must_be_silent, base + first)
            is_good &= n_firing == 0
        chosen = np.flatnonzero(is_good)
        payload = self._payload(batch, feature[chosen], anchor[chosen], first[chosen], past[chosen], values)
        return {"chosen": chosen, **payload}

    def _payload(
        self,
        batch: TextBatch,
        feature: np.ndarray,
        anchor: np.ndarray,
        first: np.ndarray,
        past: np.ndarray,
        values: tuple[np.ndarray, np.ndarray] | None,
    ) -> dict[str, np.ndarray]:
        n = self.placement.n_tokens
        place = first[:, None] + np.arange(-EDGE_TOKENS, n + EDGE_TOKENS)
        is_own = (place >= batch.start[first][:, None]) & (place < batch.end[first][:, None])
        token = np.where(is_own, batch.token[place.clip(0, batch.n_tokens - 1)], -1).astype(np.int32)
        activation = np.zeros((len(first), n), dtype=np.float32)
        if values is not None and len(values[0]):
            inside = place[:, EDGE_TOKENS:-EDGE_TOKENS]
            wanted = feature[:, None] * batch.n_tokens + inside
            # keys of firings are ascending: one binary search finds every activation
            at = np.searchsorted(values[0], wanted).clip(max=len(values[0]) - 1)
            fires = (values[0][at] == wanted) & (inside < past[:, None])
            activation[fires] = values[1][at[fires]]
        return {
            **batch.written(first, past, n_tokens=n),
            "document": batch.names[first],
            "offset": batch.offset[first],
            "length": past - first,
            "candidate": anchor - first,
            "is_last": batch.is_last[past - 1],
            "token": token,
            "activation": activation,
        }
