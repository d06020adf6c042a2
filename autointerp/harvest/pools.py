"""Bottom-k pools: of all candidates offered to a slot, the `capacity` ones of lowest priority number, with payload.

Takes arrays of slots, 64-bit priorities and payload columns. What a pool holds depends on the candidates alone, not
on their order or grouping, so pools of parts of a stream merge exactly. Does not know what a slot or payload means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["Pools"]

Columns = dict[str, np.ndarray]
NO_BOUND = np.uint64(2**64 - 1)


class Pools:
    """One bottom-k pool per slot. capacity: [n_slots]."""

    def __init__(self, capacity: np.ndarray) -> None:
        self.capacity = capacity
        self._bound = np.where(capacity > 0, NO_BOUND, np.uint64(0))
        self._kept: list[Columns] = []
        self._n_kept = 0
        self._n_new = 0

    def offer(
        self, slot: np.ndarray, priority: np.ndarray, build: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    ) -> None:
        """Offer candidates. `build(indices)` is asked for the payload of those that may stay; it may leave some out
        by giving them under the key `chosen` (places among `indices`), the payload then being theirs alone.
        """
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
        """Add the candidates of another part of the stream."""
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
