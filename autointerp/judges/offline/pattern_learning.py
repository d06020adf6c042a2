"""Learning a feature's pattern from shown windows and token counts (judge `pattern`).

A token's share of firing occurrences is that of the whole role. Where a context separates its firing occurrences from
its silent ones, the share is changed by Bayes' rule: the odds, times how much likelier the context is where it fires.
What is called firing is calibrated on the windows. All of them are of the role explain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log

from autointerp.judges.offline.pattern_language import Element, Join, Pattern, is_inside_word
from autointerp.judges.offline.pattern_windows import Context, Occurrence, Windows, count_contexts, read_windows
from autointerp.judges.tasks import ExplainTask

__all__ = ["MAX_ELEMENTS", "learn_pattern"]

MAX_ELEMENTS = 64
"""Elements kept; a list of tokens has to be long where a feature fires on many."""

MAX_CONTEXTS = 3
MIN_WINDOWS = 3
"""Windows in which a token fires after a context, at least."""
_LEVEL = 0.01
"""Chance of a context where none tells anything, roughly (a likelihood ratio, Bonferroni-corrected)."""
_PRIOR = 2.0
"""Occurrences at the context's share of all tokens, added to what is counted."""
_MOST, _LEAST = 0.99, 0.001
_SURE = 0.9
"""Share from which a token needs no context."""

_BaseRate = Callable[[Context], float]
"""Share of all tokens in a context."""


def learn_pattern(task: ExplainTask) -> Pattern | None:
    """The pattern, most telling tokens first; None when nothing fires."""
    windows = read_windows((*task.windows, *task.silent_windows, *task.background))
    highest = max((o.activation for row in windows.by_window for o in row), default=0.0)
    if highest <= 0.0:
        return None
    shown = windows.by_window[: len(windows.by_window) - len(task.background)]
    n_by_context, n_shown = count_contexts(shown), sum(map(len, shown))
    counts = _count(task, windows)

    def rank(token: str) -> tuple[float, float, str]:
        n_firing, n_tokens = counts[token]
        carried = sum(o.activation for o in windows.by_token.get(token, ()))
        return -n_firing * n_firing / (n_tokens + 1), -carried, token

    elements: list[Element] = []
    for token in sorted(counts, key=rank):
        n_firing, n_tokens = counts[token]
        occurrences, share = windows.by_token.get(token, []), n_firing / (n_tokens + 1)
        elements += _elements(
            token, occurrences, lambda context: n_by_context[context] / n_shown, share=share, highest=highest
        )
        if len(elements) >= MAX_ELEMENTS:
            break
    return _calibrate(Pattern(tuple(elements[:MAX_ELEMENTS])), windows, task)


def _count(task: ExplainTask, windows: Windows) -> dict[str, tuple[int, int]]:
    """Firing and all occurrences by firing token: of the role, else of the windows."""
    counts = {
        token: (sum(o.activation > 0.0 for o in windows.by_token[token]), len(windows.by_token[token]))
        for token in windows.firing()
    }
    return counts | {count.token: (count.n_firing, count.n_tokens) for count in task.counts if count.n_firing}


def _elements(
    token: str, occurrences: Sequence[Occurrence], base_rate: _BaseRate, *, share: float, highest: float
) -> list[Element]:
    """One per telling context, then the token alone."""
    fired = [o for o in occurrences if o.activation > 0.0]
    silent = [o for o in occurrences if o.activation <= 0.0]
    left, right = _joins(fired or silent)
    elements: list[Element] = []

    def add(share: float, covered: Sequence[Occurrence], context: str | None = None, is_near: bool = False) -> None:
        mean = sum(o.activation for o in covered) / max(1, len(covered))
        strength = max(1, min(10, round(10 * mean / highest)))
        elements.append(Element(token, left, right, context, is_near, strength, max(1, round(1000 * share))))

    share = min(share, _MOST)
    while share < _SURE and len(elements) < MAX_CONTEXTS and (found := _telling(fired, silent, base_rate)):
        context, if_firing, if_silent = found
        add(_updated(share, if_firing / if_silent), [o for o in fired if context in o.contexts], *context)
        share = _updated(share, (1 - if_firing) / (1 - if_silent))
        fired, silent = ([o for o in rows if context not in o.contexts] for rows in (fired, silent))
    if share >= _LEAST:
        add(share, fired)
    return elements


def _updated(share: float, likelihood_ratio: float) -> float:
    odds = share / (1 - share) * likelihood_ratio
    return min(_MOST, odds / (1 + odds))


def _telling(
    fired: list[Occurrence], silent: list[Occurrence], base_rate: _BaseRate
) -> tuple[Context, float, float] | None:
    """The context that tells most, and its share of the firing and of the silent occurrences."""
    if len({o.window for o in fired}) < MIN_WINDOWS:
        return None
    n_fired, n_silent = (Counter(context for o in rows for context in o.contexts) for rows in (fired, silent))
    n_windows = Counter(context for context, _ in {(context, o.window) for o in fired for context in o.contexts})
    best: tuple[float, Context, float, float] | None = None
    least = log(max(1, len(n_fired)) / _LEVEL)
    for context in sorted(context for context, n in n_windows.items() if n >= MIN_WINDOWS):
        base = _PRIOR * base_rate(context)
        p = (n_fired[context] + base) / (len(fired) + _PRIOR)
        q = (n_silent[context] + base) / (len(silent) + _PRIOR)
        if p <= q or p >= 1.0:
            continue
        gain = round(len(fired) * (p * log(p / q) + (1 - p) * log((1 - p) / (1 - q))), 9)
        if gain >= least:
            best, least = (gain, context, p, q), gain + 1e-9  # of equals the first
    return None if best is None else best[1:]


def _joins(occurrences: list[Occurrence]) -> tuple[Join, Join]:
    # a window's edge tells nothing about joins
    left = {is_inside_word(o.text[o.start - 1], o.token[0]) for o in occurrences if o.start > 0}
    right = {is_inside_word(o.token[-1], o.text[o.end]) for o in occurrences if o.end < len(o.text)}
    joins: dict[frozenset[bool], Join] = {frozenset({True}): "-", frozenset({False, True}): "~"}
    return joins.get(frozenset(left), ""), joins.get(frozenset(right), "")


def _calibrate(pattern: Pattern, windows: Windows, task: ExplainTask) -> Pattern:
    """With the shares from which texts, marks and tokens are called firing, where silent windows tell."""
    rows = []
    for row in windows.by_window:
        shares = pattern.shares(row[0].text, [(o.start, o.end) for o in row]) if row else []
        rows.append([(share, o.activation) for share, o in zip(shares, row, strict=True)])
    firing = [row for row in rows if any(activation > 0.0 for _, activation in row)]
    # near misses, which are silent by choice, stand among the shown ones
    silent = rows[-len(task.background) :] if task.background else rows[len(task.windows) :]
    token_from = _best_f1([cell for row in (*firing, *silent) for cell in row])
    if not silent:
        return replace(pattern, token_from=token_from)
    texts = ([sum(share for share, _ in row) for row in rows] for rows in (firing, silent))
    strongest = [max(row, key=lambda cell: cell[1])[0] for row in firing]
    mark_from = _best_cut(strongest, [share for row in silent for share, _ in row])
    return replace(pattern, text_from=_best_cut(*texts), mark_from=mark_from, token_from=token_from)


def _best_cut(firing: list[int], silent: list[int]) -> int:
    """The value from which on calling firing has the highest mean of F1 and balanced accuracy, at equal counts."""
    n_firing, n_silent = Counter(firing), Counter(silent)
    n_hits = n_alarms = cut = 0
    best = 0.0
    for value in sorted({*firing, *silent}, reverse=True):
        n_hits, n_alarms = n_hits + n_firing[value], n_alarms + n_silent[value]
        hits, alarms = n_hits / len(firing), n_alarms / len(silent)
        worth = round(2 * hits / (1 + hits + alarms) + (1 + hits - alarms) / 2, 9)
        if worth > best:
            best, cut = worth, value
    return cut


def _best_f1(tokens: list[tuple[int, float]]) -> int:
    """The share of highest F1 over tokens, the highest of equals."""
    n_by_share = Counter(share for share, _ in tokens)
    n_right = Counter(share for share, activation in tokens if activation > 0.0)
    n_fires, n_called, n_true = sum(n_right.values()), 0, 0
    best, cut = 0.0, 1000
    for share in sorted((share for share in n_by_share if share), reverse=True):
        n_called, n_true = n_called + n_by_share[share], n_true + n_right[share]
        f1 = 2 * n_true / (n_called + n_fires)
        if f1 > best:
            best, cut = f1, share
    return cut
