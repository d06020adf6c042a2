"""Beginnings that prompts share: batches of prompts that begin alike, and key-value caches of what they begin with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

__all__ = ["Prefixes", "plan_batches", "shared_length"]

Ids = list[int]

_LEAST_SHARED = 16
"""Tokens worth a cache."""
_LEAST_SAVED = 100
"""Tokens that a family of prompts must save by batches of its own."""
_KEPT = 4


def shared_length(rows: Sequence[Ids]) -> int:
    """Number of tokens with which all rows begin."""
    # in sorted order the first and the last row differ soonest
    first, last = min(rows), max(rows)
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def plan_batches(rows: Sequence[Ids], size: int) -> list[list[int]]:
    """Indices of the rows in batches of at most `size`: families that begin alike together, the longest first."""
    order = sorted(range(len(rows)), key=rows.__getitem__)
    return list(_plan(order, rows, size)) if order else []


def _plan(order: Sequence[int], rows: Sequence[Ids], size: int) -> Iterator[list[int]]:
    """Batches of rows in sorted order."""
    shared = shared_length([rows[order[0]], rows[order[-1]]])
    families = [[order[0]]]
    for before, index in pairwise(order):
        if shared_length([rows[before], rows[index]]) >= shared + _LEAST_SHARED:
            families[-1].append(index)
        else:
            families.append([index])
    rest: list[int] = []
    for family in families:
        n_more = shared_length([rows[family[0]], rows[family[-1]]]) - shared
        if (len(family) - 1) * n_more >= _LEAST_SAVED:
            yield from _plan(family, rows, size)
        else:
            rest += family
    rest.sort(key=lambda index: (-len(rows[index]), index))
    yield from (rest[start : start + size] for start in range(0, len(rest), size))


class Prefixes:
    """Key-value caches of the beginnings read last.

    `read(ids, n_before, cache)` reads one row after `n_before` tokens of `cache`, None at first, and returns the cache.
    """

    def __init__(self, read: Callable[[Ids, int, Any], Any]) -> None:
        self._read = read
        self._kept: list[tuple[Ids, Any]] = []
        self._can_share = True

    def clear(self) -> None:
        self._kept.clear()

    def find(self, rows: Sequence[Ids]) -> tuple[int, Any]:
        """Length of a common beginning that leaves a token of every row, and its cache for so many rows, the caller's
        own; (0, None) where sharing does not pay.
        """
        ids = rows[0][: min(shared_length(rows), min(map(len, rows)) - 1)]
        known = max(self._kept, key=lambda kept: shared_length([ids, kept[0]]), default=([], None))
        n_known = shared_length([ids, known[0]])
        if len(rows) == 1:
            # what one row alone begins with is read with the rest of it
            ids = ids[:n_known]
        if not self._can_share or len(ids) < _LEAST_SHARED:
            return 0, None
        cache: Any = None
        if n_known >= _LEAST_SHARED:
            cache = copy.deepcopy(known[1])
            cache.crop(n_known - len(known[0]))
        if cache is None or n_known < len(ids):
            n_known = 0 if cache is None else n_known
            cache = self._read(ids[n_known:], n_known, cache)
            if not _is_plain(cache):
                self._can_share = False
                return 0, None
            known = ids, copy.deepcopy(cache)
        self._kept = [*(kept for kept in self._kept if kept is not known), known][-_KEPT:]
        cache.batch_repeat_interleave(len(rows))
        return len(ids), cache


def _is_plain(cache: Any) -> bool:
    """Whether every position is a place of its own: no sliding windows, which padding would shift, no recurrence."""
    return getattr(cache, "is_croppable", False) and not any(cache.is_sliding)
