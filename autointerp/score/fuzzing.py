"""Scorer `fuzzing`: are the marked tokens of this window the firing ones? (Paulo et al. 2024, arXiv 2410.13928)

All windows fire, as in delphi's `fuzz` of type `active`. Wrong marks are as many as right ones, on tokens as frequent.
An item's name holds its marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import floor, log2

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.tasks import Passage
from autointerp.records.evidence import Evidence
from autointerp.records.token_key import name_tokens, named_tokens
from autointerp.records.window import Window
from autointerp.score.listing import ListScorer
from autointerp.score.sampling import choose_positives, too_few
from autointerp.score.scorer import Item, Unscorable

__all__ = ["FuzzingScorer", "open_scorer"]

_N_ROLES = 2  # token uses are counted over one of two roles, of equal shares


class FuzzingSettings(ScorerConfig):
    uses = frozenset({"n_positive", "n_negative", "sampling", "windows_per_request", "heading"})


class FuzzingScorer(ListScorer):
    """Right or wrong marks on activating windows."""

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """`n_positive` windows with right marks, `n_negative` with wrong ones, shuffled, both of like strengths."""
        settings = self._settings
        n = settings.n_positive + settings.n_negative
        windows = choose_positives(evidence, settings, n, rng)
        windows.sort(key=lambda window: (-window.max_activation, window.id))
        n_right, turn = len(windows) * settings.n_positive // n, int(rng.integers(max(1, len(windows))))
        frequencies = _Frequencies(evidence)
        items: list[Item] = []
        for place, window in enumerate(windows):
            fired = _firing_places(window)
            if ((place + turn + 1) * n_right) // len(windows) > ((place + turn) * n_right) // len(windows):
                items.append(Item(window, window.kind, True, name_tokens(window.id, fired)))
            else:
                silent = _matched_places(window, fired, frequencies, rng)
                if silent is not None:
                    items.append(Item(window, "wrong_marks", False, name_tokens(window.id, silent)))
        n_found = sum(item.is_firing for item in items)
        shortage = too_few("positives", n_found, settings.n_positive)
        if shortage is not None:
            return Unscorable("too_few_positives", shortage)
        shortage = too_few("negatives", len(items) - n_found, settings.n_negative)
        if shortage is not None:
            return Unscorable("too_few_negatives", f"{shortage}; too few tokens to mark wrongly")
        return tuple(items[index] for index in rng.permutation(len(items)))

    def _passage(self, item: Item) -> Passage:
        named = named_tokens(item.key)
        if named is None:
            raise ValueError(f"item {item.key} does not name the tokens to mark")
        spans = item.window.piece_spans()
        return Passage(item.window.text, marks=tuple(spans[place] for place in named[1]))


class _Frequencies:
    """Frequency classes of tokens; each class is twice as frequent as the one before."""

    def __init__(self, evidence: Evidence) -> None:
        n_counted = max(1.0, evidence.n_tokens / _N_ROLES)
        self._exact = {use.token_id: use.n_tokens / n_counted for use in evidence.token_uses}
        self._random = _counted(evidence.select("explain", "random") + evidence.select("score", "random"))
        self._all = _counted(evidence.windows)

    def class_of(self, token: int) -> int:
        # Exact counts exist for tokens the feature fires on; random windows are a fair sample of the others.
        share = self._exact.get(token) or self._random.get(token) or self._all[token]
        return floor(log2(share))


def _counted(windows: Sequence[Window]) -> dict[int, float]:
    counts = Counter(token for window in windows for token in window.token_ids)
    n = max(1, sum(counts.values()))
    return {token: count / n for token, count in counts.items()}


def _firing_places(window: Window) -> list[int]:
    """Places of the firing tokens."""
    owners = window.owners()
    return sorted({owners[index] for index, activation in enumerate(window.activations) if activation > 0})


def _matched_places(
    window: Window, fired: Sequence[int], frequencies: _Frequencies, rng: np.random.Generator
) -> list[int] | None:
    """One silent token of the nearest frequency class per firing token, or None; tokens that fire elsewhere are not
    taken."""
    firing_ids = {token for token, value in zip(window.token_ids, window.activations, strict=True) if value > 0}
    left = [
        index
        for index, (start, end) in enumerate(window.piece_spans())
        if start < end and index not in fired and window.token_ids[index] not in firing_ids
    ]
    taken: list[int] = []
    for place in fired:
        if not left:
            return None
        wanted = frequencies.class_of(window.token_ids[place])
        apart = [abs(frequencies.class_of(window.token_ids[index]) - wanted) for index in left]
        nearest = [index for index, distance in zip(left, apart, strict=True) if distance == min(apart)]
        chosen = nearest[int(rng.integers(len(nearest)))]
        left.remove(chosen)
        taken.append(chosen)
    return sorted(taken)


def open_scorer(settings: FuzzingSettings, score: ScoreConfig) -> FuzzingScorer:
    return FuzzingScorer(settings, score, prompt="fuzzing", has_marks=True)
