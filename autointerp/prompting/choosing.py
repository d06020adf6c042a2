"""Choice of shown windows: the strongest, random ones, or spread over the activation range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from autointerp.records.window import Window

__all__ = ["distinct", "draw", "one_per_passage", "prefer_context", "spread_over_range", "strongest"]

_RUN_TOKENS = 10  # windows that share a run of so many tokens are of one passage
_TOKENS_AFTER = 6  # enough text after the last firing token


def distinct(windows: Iterable[Window]) -> list[Window]:
    """Without windows that repeat a text (white space aside) or overlap an earlier one."""
    texts: set[str] = set()
    spans: dict[str, list[tuple[int, int]]] = {}
    kept: list[Window] = []
    for window in windows:
        text = " ".join(window.text.split())
        start, end = window.offset, window.offset + len(window.token_ids)
        taken = spans.setdefault(window.document, [])
        if text in texts or any(start < other_end and first < end for first, other_end in taken):
            continue
        texts.add(text)
        taken.append((start, end))
        kept.append(window)
    return kept


def one_per_passage(windows: Iterable[Window]) -> list[Window]:
    """Without windows that share a run of tokens with an earlier one, or stand within its length beside it."""
    runs: set[tuple[int, ...]] = set()
    spans: dict[str, list[tuple[int, int]]] = {}
    kept: list[Window] = []
    for window in windows:
        ids, length = window.token_ids, len(window.token_ids)
        own = {ids[start : start + _RUN_TOKENS] for start in range(length - _RUN_TOKENS + 1)}
        first, past = window.offset - length, window.offset + 2 * length
        taken = spans.setdefault(window.document, [])
        if runs & own or any(first < other_end and start < past for start, other_end in taken):
            continue
        runs |= own
        taken.append((window.offset, window.offset + length))
        kept.append(window)
    return kept


def prefer_context(windows: Iterable[Window], n: int) -> list[Window]:
    """Of each kind and bin the windows that go on after their last firing; filled up to `n` with others, by id."""
    groups: dict[tuple[str, int], list[Window]] = {}
    for window in windows:
        groups.setdefault((window.kind, window.bin or 0), []).append(window)
    least = -(-n // max(1, len(groups)))
    kept: list[Window] = []
    for group in groups.values():
        good = [window for window in group if _goes_on(window)]
        others = sorted((window for window in group if not _goes_on(window)), key=lambda window: window.id)
        kept += [*good, *others[: max(0, least - len(good))]]
    return kept


def _goes_on(window: Window) -> bool:
    last = max((index for index, value in enumerate(window.activations) if value > 0.0), default=0)
    return bool(window.ends_document) or len(window.activations) - 1 - last >= _TOKENS_AFTER


def strongest(windows: Iterable[Window], n: int) -> list[Window]:
    """Highest maxima first; ties by id."""
    return distinct(sorted(windows, key=lambda window: (-window.max_activation, window.id)))[:n]


def draw(windows: Iterable[Window], n: int, rng: np.random.Generator) -> list[Window]:
    """At most `n` random windows."""
    # sorted first: the draw must not depend on the order of storage
    ordered = sorted(windows, key=lambda window: window.id)
    return distinct(ordered[index] for index in rng.permutation(len(ordered)))[:n]


def spread_over_range(windows: Sequence[Window], n: int, rng: np.random.Generator, *, with_top: bool) -> list[Window]:
    """`n` activating windows, equally many per activation bin.

    Bins take turns from the highest down. With `with_top` the top windows are one more bin, above the highest; without
    it they only fill gaps.
    """
    top = sorted((w for w in windows if w.kind == "top"), key=lambda window: (-window.max_activation, window.id))
    bins: dict[int, list[Window]] = {}
    for window in sorted((w for w in windows if w.kind == "bin"), key=lambda window: window.id):
        bins.setdefault(window.bin or 0, []).append(window)
    groups = [[bins[b][i] for i in rng.permutation(len(bins[b]))] for b in sorted(bins, reverse=True)]
    turns = [top, *groups] if with_top else groups
    chosen = [group[turn] for turn in range(max(map(len, turns), default=0)) for group in turns if turn < len(group)]
    return distinct([*chosen, *top])[:n]
