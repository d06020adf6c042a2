"""Context predictability: whether the tokens before one tell if a feature fires on it.

It describes the subject, not the dictionary (Heap et al. 2025, arXiv 2501.17727).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from autointerp.harvest.contexts import N_BEFORE, Occurrences
from autointerp.records.evidence import ContextPredictability

__all__ = ["context_predictability"]

# occurrences of either label below which a token is not compared within
MIN_PER_TOKEN = 5
# sum of n_firing * n_silent / (n_firing + n_silent) over tokens, in each role, from which on it counts as measurable:
# 20 firing and 20 silent occurrences of one token
MIN_WEIGHT = 10.0
_SMOOTHING = 0.5


def context_predictability(
    explain: Occurrences, score: Occurrences, *, rng: np.random.Generator
) -> ContextPredictability | None:
    """AUROC within tokens of a naive Bayes model of the `N_BEFORE` tokens before, and of one fitted to shuffled labels.

    Each distance adds log P(token | fires) - log P(token | silent), add-half smoothed. AUROCs within tokens are
    averaged by n_firing * n_silent / (n_firing + n_silent), then over both directions (fitted on explain and tested on
    score, and the reverse). 0.5 is chance. None where either role has too few.
    """
    sides = [_within_tokens(side) for side in (explain, score)]
    if any(side.weight < MIN_WEIGHT for side in sides):
        return None
    scores, shuffled = [], []
    for fitted, held in (sides, sides[::-1]):
        places = _matched_places(fitted.tokens, held.tokens)
        null = fitted.fires.copy()
        for start, end in pairwise(fitted.edges):
            null[start:end] = rng.permutation(null[start:end])
        scores.append(held.stratified_auroc(_log_odds(places, fitted.fires)))
        shuffled.append(held.stratified_auroc(_log_odds(places, null)))
    return ContextPredictability(
        auroc=float(np.mean(scores)),
        shuffled_auroc=float(np.mean(shuffled)),
        n_tokens=len({int(token) for side in sides for token in side.tokens[side.edges[:-1], 0]}),
        n_firing=int(sum(side.fires.sum() for side in sides)),
        n_silent=int(sum((~side.fires).sum() for side in sides)),
    )


class _Side:
    """Occurrences of one role, grouped by token, of tokens with enough of both labels."""

    def __init__(self, tokens: np.ndarray, fires: np.ndarray, edges: np.ndarray) -> None:
        # edges: [n_groups + 1] where each token's begin
        self.tokens, self.fires, self.edges = tokens, fires, edges
        self._sizes = np.diff(edges)
        self._n_firing = np.add.reduceat(fires, edges[:-1]) if len(self._sizes) else np.empty(0)
        self.weights = self._n_firing * (self._sizes - self._n_firing) / self._sizes
        self.weight = float(self.weights.sum())

    def stratified_auroc(self, values: np.ndarray) -> float:
        from scipy.stats import rankdata

        group = np.repeat(np.arange(len(self._sizes)), self._sizes)
        # one ranking of all: groups are moved apart, and what stands below a group is taken off its ranks
        ranks = rankdata(values + group * (np.ptp(values) + 1.0)) - np.repeat(self.edges[:-1], self._sizes)
        sums = np.add.reduceat(np.where(self.fires, ranks, 0.0), self.edges[:-1])
        n, n_silent = self._n_firing, self._sizes - self._n_firing
        return float(np.average((sums - n * (n + 1) / 2) / (n * n_silent), weights=self.weights))


def _within_tokens(side: Occurrences) -> _Side:
    order = np.argsort(side.tokens[:, 0], kind="stable")
    tokens, fires = side.tokens[order], side.fires[order]
    starts = np.flatnonzero(np.concatenate([[True], tokens[1:, 0] != tokens[:-1, 0]])) if len(tokens) else order
    sizes = np.diff(np.append(starts, len(tokens)))
    n_firing = np.add.reduceat(fires, starts) if len(starts) else sizes
    is_kept = np.minimum(n_firing, sizes - n_firing) >= MIN_PER_TOKEN
    rows = np.repeat(is_kept, sizes)
    return _Side(tokens[rows], fires[rows], np.concatenate([[0], np.cumsum(sizes[is_kept])]))


def _matched_places(tokens: np.ndarray, held: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per distance, the number of each fitted row's token and of each held row's, -1 for a token never fitted."""
    places = []
    for distance in range(1, 1 + N_BEFORE):
        seen, own = np.unique(tokens[:, distance], return_inverse=True)
        other = np.searchsorted(seen, held[:, distance]).clip(max=len(seen) - 1)
        places.append((own, np.where(seen[other] == held[:, distance], other, -1)))
    return places


def _log_odds(places: list[tuple[np.ndarray, np.ndarray]], fires: np.ndarray) -> np.ndarray:
    """[n_held] log odds by the tokens before, fitted to the labels `fires`."""
    n_firing, n_silent = int(fires.sum()), int((~fires).sum())
    total = np.zeros(len(places[0][1]))
    for own, held in places:
        n = int(own.max()) + 1
        firing = np.bincount(own[fires], minlength=n) + _SMOOTHING
        silent = np.bincount(own[~fires], minlength=n) + _SMOOTHING
        odds = np.append(np.log(firing / (n_firing + 1)) - np.log(silent / (n_silent + 1)), 0.0)
        # a token never seen at its distance has place -1: the 0 at the end
        total += odds[held]
    return total
