"""Bottom-k pools: the candidates of lowest priority number in each slot, with payload."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["Pools"]

Columns = dict[str, np.ndarray]
NO_BOUND = np.uint64(2**64 - 1)


class Pools:
    """One pool per slot, whose content does not depend on the candidates' order: parts of a stream merge exactly."""

    def __init__(self, capacity: np.ndarray) -> None:
        # [n_slots]
        self.capacity = capacity
        self._bound = np.where(capacity > 0, NO_BOUND, np.uint64(0))
        self._kept: list[Columns] = []
        self._n_kept = 0
        self._n_new = 0

    def offer(
        self, slot: np.ndarray, priority: np.ndarray, build: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    ) -> None:
        """`build(indices)` returns the payload of those that may stay. To leave some out it also returns `chosen`
        (places among `indices`) and the payload of these alone.
        """
        # a payload is costly: none is built for candidates above the bound of a full pool
        can_stay = np.flatnonzero(priority < self._bound[slot])
        if not len(can_stay):
            return
        payload = dict(build(can_stay))
        chosen = payload.pop("chosen", None)
        if chosen is not None:
            can_stay = can_stay[chosen]
        if not len(can_stay):
            return
        self._append({"slot": slot[can_stay], "priority": priority[can_stay], **payload})

    def merge(self, other: Pools) -> None:
        columns = other.columns()
        if columns:
            self._append(columns)

    def columns(self) -> Columns:
        """What is kept, ordered by slot and priority; empty when nothing ever was."""
        self._compact()
        return self._kept[0] if self._kept else {}

    def _append(self, columns: Columns) -> None:
        self._kept.append(columns)
        self._n_new += len(columns["slot"])
        if self._n_new > max(8192, self._n_kept // 2):
            self._compact()

    def _compact(self) -> None:
        if not self._kept or (self._n_new == 0 and len(self._kept) == 1):
            return
        slot = np.concatenate([part["slot"] for part in self._kept])
        priority = np.concatenate([part["priority"] for part in self._kept])
        order = np.lexsort((priority, slot))
        ordered = slot[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        sizes = np.diff(np.append(starts, len(ordered)))
        rank = np.arange(len(ordered)) - np.repeat(starts, sizes)
        stays = order[rank < self.capacity[ordered]]
        last = order[rank == self.capacity[ordered] - 1]
        self._bound[slot[last]] = priority[last]
        columns = {name: np.concatenate([part[name] for part in self._kept])[stays] for name in self._kept[0]}
        self._kept, self._n_kept, self._n_new = [columns], len(stays), 0
