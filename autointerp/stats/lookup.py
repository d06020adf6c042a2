"""The token look-up baseline: a list of tokens as explanation, fitted on the explain role, applied to score windows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from autointerp.records.evidence import Evidence
from autointerp.records.window import ACTIVATING, Window
from autointerp.stats.confusion import Table

__all__ = ["LookupTask", "TokenRule", "firing_tokens", "fit_token_rule", "lookup_table"]

LookupTask = Literal["detection", "marked"]

# A token seen once is weak evidence: each rate is drawn towards the feature's density by this many tokens.
_PRIOR_TOKENS = 1.0


@dataclass(frozen=True, slots=True)
class TokenRule:
    """Tokens called firing: anywhere in the window (`detection`) or as the candidate (`marked`)."""

    task: LookupTask
    token_ids: frozenset[int]

    def calls_firing(self, window: Window) -> bool:
        if self.task == "marked":
            return window.token_ids[window.candidate] in self.token_ids
        return not self.token_ids.isdisjoint(window.token_ids)


def fit_token_rule(evidence: Evidence, *, task: LookupTask) -> TokenRule:
    """Best token set of one feature.

    Tokens are ranked by firing rate (drawn towards the density where rare); the smallest top set with the highest
    balanced accuracy on explain windows is taken. Without firing or without random windows: all tokens with a rate of
    at least 0.5.
    """
    rates = _firing_rates(evidence)
    ranking = sorted(rates, key=lambda token: (-rates[token], token))
    positives = [w for w in evidence.select("explain") if w.kind in ACTIVATING]
    negatives = list(evidence.select("explain", "random"))
    if not positives or not negatives:
        return TokenRule(task, frozenset(token for token in ranking if rates[token] >= 0.5))
    rank = {token: position for position, token in enumerate(ranking)}
    # A set of the first r tokens hits a window exactly when the window's best rank is below r.
    true_share = _hit_shares(positives, rank, task)
    false_share = _hit_shares(negatives, rank, task)
    # rounded so that ties are ties, of which argmax takes the smallest set
    size = int(np.argmax(np.round(true_share - false_share, 12)))
    return TokenRule(task, frozenset(ranking[:size]))


class Rule(Protocol):
    """Says whether a feature fires in a window."""

    def calls_firing(self, window: Window) -> bool: ...


def lookup_table(rule: Rule, windows: Iterable[tuple[Window, bool]]) -> Table:
    """Score of a rule on labelled windows."""
    cells = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for window, is_firing in windows:
        cells[is_firing, rule.calls_firing(window)] += 1
    return Table(cells[True, True], cells[False, True], cells[True, False], cells[False, False])


def _hit_shares(windows: list[Window], rank: dict[int, int], task: LookupTask) -> np.ndarray:
    """[len(rank) + 1] share of windows hit by the first r tokens, for r = 0, 1, ..."""
    never = len(rank)
    best = [
        min(rank.get(token, never) for token in (w.token_ids if task == "detection" else (w.token_ids[w.candidate],)))
        for w in windows
    ]
    first_hit = np.bincount(best, minlength=never + 1)[:never]
    return np.concatenate([[0], np.cumsum(first_hit)]) / len(windows)


def _firing_rates(evidence: Evidence) -> dict[int, float]:
    """Firing share of each token's occurrences."""
    counts = {use.token_id: (use.n_firing, use.n_tokens) for use in evidence.token_uses}
    # `token_uses` may be cut short; a token that fires in an explain window but is not listed is counted there.
    windows = list(evidence.select("explain"))
    unlisted = set[int]().union(*map(firing_tokens, windows)).difference(counts)
    counts |= _window_counts(windows, unlisted)
    prior = _PRIOR_TOKENS * evidence.density
    return {token: (n_firing + prior) / (n + _PRIOR_TOKENS) for token, (n_firing, n) in counts.items() if n_firing}


def _window_counts(windows: Sequence[Window], tokens: set[int]) -> dict[int, tuple[int, int]]:
    counts: dict[int, tuple[int, int]] = dict.fromkeys(tokens, (0, 0))
    for window in windows if tokens else ():
        for token, activation in zip(window.token_ids, window.activations, strict=True):
            if token in tokens:
                n_firing, n = counts[token]
                counts[token] = (n_firing + (activation > 0), n + 1)
    return counts


def firing_tokens(window: Window) -> set[int]:
    return {token for token, activation in zip(window.token_ids, window.activations, strict=True) if activation > 0}
