"""Samplers of firing windows, with the share of all firings that each window represents.

Top windows represent themselves; others a part of their activation bin's peaks (`FiringCounts`). Population figures are
means weighted by shares (Horvitz & Thompson 1952; Hajek 1971).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from autointerp.config.asking import Sampling
from autointerp.prompting.choosing import distinct, spread_over_range, strongest
from autointerp.records.window import Window

__all__ = ["NEEDS_DRAWN", "N_QUANTILES", "Chosen", "choose_firing", "shares_by_bin"]

N_QUANTILES = 10
"""Tenths of all firing windows, delphi's default."""

NEEDS_DRAWN: frozenset[Sampling] = frozenset({"random", "quantile", "importance", "top_random"})
"""They need windows drawn from all firings: bins hold too few weak ones."""


class Chosen(NamedTuple):
    """A window and its share of the role's firing windows; None if unknown."""

    window: Window
    share: float | None


def choose_firing(
    sampling: Sampling,
    windows: Sequence[Window],
    n: int,
    rng: np.random.Generator,
    *,
    bins: Sequence[int] | None,
    with_top: bool = False,
) -> list[Chosen]:
    """At most `n` firing windows of one role.

    `bins` counts firing peaks by activation bin; without it shares are unknown and windows count alike. `with_top`:
    under `range` the top windows are one more bin.
    """
    if sampling == "top":
        return [Chosen(window, None) for window in strongest((w for w in windows if w.kind == "top"), n)]
    if sampling == "top_random":
        top, drawn = ([w for w in windows if w.kind == kind] for kind in ("top", "drawn"))
        rest = choose_firing("random", drawn, n - min(len(top), (n + 1) // 2), rng, bins=bins)
        chosen = [*strongest(top, n - len(rest)), *(each.window for each in rest)]
        return [Chosen(window, None) for window in distinct(chosen)]
    if sampling == "range":
        return shares_by_bin(spread_over_range(windows, n, rng, with_top=with_top), bins)
    if sampling == "mixed":
        top = strongest(windows, (n + 1) // 2)
        ids = {window.id for window in top}
        left = [window for window in windows if window.id not in ids]
        rest = spread_over_range(left, n - len(top), rng, with_top=False)
        return shares_by_bin(distinct([*top, *rest]), bins, certain=ids)
    frame = distinct(sorted(windows, key=lambda window: window.id))
    if not frame:
        return []
    stand_for = _stand_for(frame, bins, {window.id for window in frame if window.kind == "top"})
    if sampling == "quantile":
        return _by_quantile(frame, stand_for, n, rng, total=None if bins is None else sum(bins))
    sizes = stand_for if sampling == "random" else stand_for * np.array([w.max_activation for w in frame])
    chances = _inclusion_chances(sizes, n)
    places = _systematic(chances, rng)
    total = None if bins is None else sum(bins)
    return [Chosen(frame[i], _share(stand_for[i] / chances[i], total)) for i in places]


def shares_by_bin(
    windows: Sequence[Window], bins: Sequence[int] | None, *, certain: Collection[str] = ()
) -> list[Chosen]:
    """Windows with equal shares of their bin's peaks; `certain` ones (by id) represent themselves."""
    total = None if bins is None else sum(bins)
    stand_for = _stand_for(windows, bins, certain)
    return [Chosen(window, _share(value, total)) for window, value in zip(windows, stand_for.tolist(), strict=True)]


def _share(n_peaks: float, total: int | None) -> float | None:
    return float(n_peaks) / total if total else None


def _stand_for(windows: Sequence[Window], bins: Sequence[int] | None, certain: Collection[str]) -> np.ndarray:
    """[n] firing peaks each window represents; 1 without counts."""
    if bins is None:
        return np.ones(len(windows))
    n_certain = Counter(window.bin or 0 for window in windows if window.id in certain)
    n_others = Counter(window.bin or 0 for window in windows if window.id not in certain)
    each = {bin_: max(1.0, (bins[bin_] - n_certain[bin_]) / n) for bin_, n in n_others.items()}
    return np.array([1.0 if window.id in certain else each[window.bin or 0] for window in windows])


def _by_quantile(
    frame: Sequence[Window], stand_for: np.ndarray, n: int, rng: np.random.Generator, *, total: int | None
) -> list[Chosen]:
    """Equally many windows per tenth of peaks by strength; the higher tenths get a remainder, others fill gaps."""
    n_quantiles = min(N_QUANTILES, n)
    order = np.argsort([window.max_activation for window in frame], kind="stable")
    middle = np.cumsum(stand_for[order]) - stand_for[order] / 2
    quantile = np.minimum((middle / stand_for.sum() * n_quantiles).astype(int), n_quantiles - 1)
    groups = [rng.permutation(order[quantile == q]) for q in range(n_quantiles - 1, -1, -1)]
    turns = [(q, group[turn]) for turn in range(len(frame)) for q, group in enumerate(groups) if turn < len(group)][:n]
    chosen = {q: [place for of, place in turns if of == q] for q, _ in turns}
    shares = {
        place: stand_for[place] / stand_for[places].sum() * stand_for[groups[q]].sum()
        for q, places in chosen.items()
        for place in places
    }
    return [Chosen(frame[place], _share(shares[place], total)) for _, place in turns]


def _inclusion_chances(sizes: np.ndarray, n: int) -> np.ndarray:
    """[n_windows] inclusion probabilities in proportion to size, with sum `n`."""
    chances = np.zeros(len(sizes))
    is_certain = np.zeros(len(sizes), dtype=bool)
    if n >= len(sizes):
        return np.ones(len(sizes))
    while True:
        chances[is_certain] = 1.0
        left = sizes * ~is_certain
        chances[~is_certain] = (left / left.sum() * (n - is_certain.sum()))[~is_certain]
        # whatever would be taken more than once is certain
        over = (chances >= 1.0) & ~is_certain
        if not over.any():
            return chances
        is_certain |= over


def _systematic(chances: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Systematic sampling in random order, with exactly these chances (Madow 1949)."""
    order = rng.permutation(len(chances))
    ends = np.cumsum(chances[order])
    start = rng.random()
    # the ends add up to a whole number but for rounding, so the last step must not fall behind it
    n_before = np.floor(np.concatenate([[0.0], np.round(ends, 9)]) - start).astype(int)
    return [int(place) for place, taken in zip(order, np.diff(n_before) > 0, strict=True) if taken]
