"""Pass 2: samples of the tokens a feature often fires on, firing and silent, each with the tokens before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autointerp.harvest.firing import Firings
from autointerp.harvest.hashing import code, mix
from autointerp.harvest.pools import Pools
from autointerp.harvest.segments import TextBatch
from autointerp.harvest.statistics import ROLES
from autointerp.harvest.windows import Plan

__all__ = ["N_BEFORE", "ContextCollector", "Occurrences"]

# tokens kept before each occurrence
N_BEFORE = 4
# occurrences kept per feature, role and label
N_PER_LABEL = 600


@dataclass(frozen=True, eq=False)
class Occurrences:
    """A sample of one feature's occurrences in one role."""

    # [n, 1 + N_BEFORE] the token itself, then those before it, nearest first, -1 beyond the segment's start
    tokens: np.ndarray
    # [n]
    fires: np.ndarray


class ContextCollector:
    """The samples of one dictionary, bottom-k by hash per feature, role and label: parts of a stream merge exactly."""

    def __init__(self, plan: Plan, *, seed: int) -> None:
        self.plan = plan
        n = len(plan.features)
        self.pools = Pools(np.full(n * len(ROLES) * 2, N_PER_LABEL))
        self._code = np.array([code(seed, "context", plan.dictionary, int(f)) for f in plan.features], dtype=np.uint64)

    def add(self, batch: TextBatch, firings: Firings) -> None:
        """`firings.feature` counts within the sample."""
        if not len(self.plan.features) or not batch.n_tokens:
            return
        feature, anchor = self.plan.near_occurrences(batch.token)
        key = feature * batch.n_tokens + anchor
        fires = np.isin(key, firings.feature * batch.n_tokens + firings.row)
        slot = (feature * len(ROLES) + ROLES.index(batch.role)) * 2 + fires
        priority = mix(batch.here[anchor] ^ self._code[feature])
        self.pools.offer(slot, priority, lambda at: {"token": _tokens_up_to(batch, anchor[at])})

    def merge(self, other: ContextCollector) -> None:
        self.pools.merge(other.pools)

    def occurrences(self) -> list[tuple[Occurrences, Occurrences]]:
        """Per feature of the plan, its samples of the roles explain and score."""
        columns = self.pools.columns()
        n_slots = len(self.plan.features) * len(ROLES) * 2
        if not columns:
            columns = {"slot": np.empty(0, np.int64), "token": np.empty((0, 1 + N_BEFORE), np.int32)}
        edges = np.searchsorted(columns["slot"], np.arange(n_slots + 1))
        samples = []
        for place in range(len(self.plan.features)):
            sides = []
            for role in range(len(ROLES)):
                silent = (place * len(ROLES) + role) * 2
                low, middle, high = edges[silent], edges[silent + 1], edges[silent + 2]
                fires = np.arange(low, high) >= middle
                sides.append(Occurrences(columns["token"][low:high], fires))
            samples.append((sides[0], sides[1]))
        return samples


def _tokens_up_to(batch: TextBatch, at: np.ndarray) -> np.ndarray:
    """[n, 1 + N_BEFORE] the token at each place, then those before it, -1 beyond the segment's start."""
    place = at[:, None] - np.arange(1 + N_BEFORE)
    is_own = place >= batch.start[at][:, None]
    return np.where(is_own, batch.token[place.clip(0)], -1).astype(np.int32)
