"""Learning a feature's pattern from shown windows (judge `pattern`).

A token that fires on most occurrences becomes an element. A context is required where nearly all firings share a rare
one, or where one separates firing from silent occurrences. Settings are chosen per feature by cross-validation.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import comb

from autointerp.judges.offline.pattern_language import Element, Join, is_inside_word
from autointerp.judges.offline.pattern_windows import Context, Occurrence, Windows, read_windows
from autointerp.judges.tasks import ExplainTask

__all__ = ["MAX_ELEMENTS", "learn_pattern"]

MAX_ELEMENTS = 24
"""Elements kept, by activation; more would be unreadable."""

N_FOLDS = 5
_GAIN = 0.02
"""Least cross-validated gain of a less cautious setting."""


@dataclass(frozen=True, slots=True)
class _Settings:
    """Least number of windows an element fires in, and least firing share of its occurrences."""

    support: int
    precision: float
    has_context: bool


_GRID = [_Settings(s, p, c) for c, p, s in product((True, False), (0.5, 0.8, 0.25), (1, 2))]


MIN_SHARED_WINDOWS = 3
UNCOVERED_FRAC = 0.1
"""Share of firings that may lack the required contexts."""

_Cover = tuple[str | None, bool, list[Occurrence]]
"""Context, whether only near, and the firings covered."""


def learn_pattern(task: ExplainTask) -> list[Element]:
    """Strongest elements first; empty when nothing fires."""
    windows = read_windows((*task.windows, *task.silent_windows))
    highest = max((o.activation for occurrences in windows.by_window for o in occurrences), default=0.0)
    if highest <= 0.0:
        return []
    everything = frozenset(range(len(windows.by_window)))
    folds = [frozenset(i for i in everything if i % N_FOLDS == fold) for fold in range(min(N_FOLDS, len(everything)))]
    settings, best = _GRID[0], -1.0
    splits = [_Split(windows, fold, everything) for fold in folds] if len(folds) > 1 else []
    for candidate in _GRID if splits else ():
        value = _cross_validate(splits, candidate)
        if value > best + _GAIN:
            settings, best = candidate, value
    whole = _firing_tokens(windows, everything, highest=highest)
    elements = _fit(whole, settings)
    if not elements:  # what was asked for is never met: the one token that carries most of the activation
        # no setting is met: the one token that carries most of the activation
        elements = _fit(whole, _Settings(1, 0.0, False))[:1]
    return elements[:MAX_ELEMENTS]


_Found = tuple[float, Element]
"""Activation carried, and the element."""


class _FiringToken:
    def __init__(self, token: str, occurrences: list[Occurrence], windows: Windows, *, highest: float) -> None:
        self._token, self._windows, self._highest = token, windows, highest
        self._n_occurrences = len(occurrences)
        self._fired = [o for o in occurrences if o.activation > 0.0]
        self._silent = [o for o in occurrences if o.activation <= 0.0]
        self.n_windows = len({o.window for o in self._fired})
        self._telling: dict[float, list[_Found]] = {}

    def elements(self, settings: _Settings) -> list[_Found]:
        """By shared contexts, else the token alone, else telling contexts."""
        if self.n_windows < settings.support:
            return []
        if settings.has_context and self._sharing:
            return self._sharing
        if len(self._fired) >= settings.precision * self._n_occurrences:
            return self._plain
        if not settings.has_context:
            return []
        # right half of the time is the least that tells anything
        precision = max(settings.precision, 0.5)
        if precision not in self._telling:
            covers = _telling_contexts(self._fired, self._silent, precision=precision)
            self._telling[precision] = self._found(covers)
        return self._telling[precision]

    @cached_property
    def _sharing(self) -> list[_Found]:
        return self._found(_shared_contexts(self._fired, self._windows))

    @cached_property
    def _plain(self) -> list[_Found]:
        return self._found([(None, False, self._fired)])

    @cached_property
    def _joins(self) -> tuple[Join, Join]:
        return _joins(self._fired)

    def _found(self, covers: list[_Cover]) -> list[_Found]:
        elements = []
        for context, is_near, covered in covers:
            carried = sum(o.activation for o in covered)
            strength = max(1, min(10, round(10 * carried / len(covered) / self._highest)))
            elements.append((carried, Element(self._token, *self._joins, context, is_near, strength)))
        return elements


def _firing_tokens(windows: Windows, used: frozenset[int], *, highest: float) -> list[_FiringToken]:
    """`highest` is the activation of strength 10."""
    tokens = []
    for token in windows.firing:
        occurrences = [o for o in windows.by_token[token] if o.window in used]
        if any(o.activation > 0.0 for o in occurrences):
            tokens.append(_FiringToken(token, occurrences, windows, highest=highest))
    return tokens


def _fit(tokens: list[_FiringToken], settings: _Settings) -> list[Element]:
    """Elements by the activation they carry, largest first."""
    carried = [item for token in tokens for item in token.elements(settings)]
    carried.sort(key=lambda item: (-item[0], item[1].token, item[1].context or ""))
    return [element for _, element in carried]


def _joins(fired: list[Occurrence]) -> tuple[Join, Join]:
    # a window's edge tells nothing about joins
    left = {is_inside_word(o.text[o.start - 1], o.token[0]) for o in fired if o.start > 0}
    right = {is_inside_word(o.token[-1], o.text[o.end]) for o in fired if o.end < len(o.text)}
    joins: dict[frozenset[bool], Join] = {frozenset({True}): "-", frozenset({False, True}): "~"}
    return joins.get(frozenset(left), ""), joins.get(frozenset(right), "")


def _shared_contexts(fired: list[Occurrence], windows: Windows) -> list[_Cover]:
    """At most three contexts that cover nearly all firings, or none.

    Contexts are accepted at p <= 0.01 by the binomial tail at their share of all tokens, Bonferroni-corrected.
    """
    chosen: list[_Cover] = []
    left = fired
    while len(left) > UNCOVERED_FRAC * len(fired):
        if len({o.window for o in left}) < MIN_SHARED_WINDOWS or len(chosen) == 3:
            return []
        covers = _by_context(left)
        ranked = sorted(
            (
                (_tail(len(covered), len(left), windows.base_rate(context)) * len(covers), context)
                for context, covered in covers.items()
                if len({o.window for o in covered}) >= MIN_SHARED_WINDOWS
            ),
            key=lambda item: (item[0], item[1][1], item[1][0]),
        )
        if not ranked or ranked[0][0] > 0.01:
            return []
        context = ranked[0][1]
        chosen.append((*context, covers[context]))
        left = [o for o in left if o not in covers[context]]
    return chosen


def _telling_contexts(fired: list[Occurrence], silent: list[Occurrence], *, precision: float) -> list[_Cover]:
    """Contexts that separate firing from silent occurrences, with the firings covered; greedy, best first."""
    n_silent = Counter(context for o in silent for context in o.contexts)
    n_fired = Counter(context for o in fired for context in o.contexts)
    chosen: list[_Cover] = []
    left = fired
    while left:
        covers = {
            context: covered
            for context, covered in _by_context(left).items()
            # a context seen in one window only is no evidence
            if len({o.window for o in covered}) >= 2
            and n_fired[context] >= precision * (n_fired[context] + n_silent[context])
        }
        if not covers:
            break
        # A touching token before a near word of the same worth, then by name: the order is always the same.
        best = min(covers, key=lambda context: (n_silent[context] - len(covers[context]), context[1], context[0]))
        chosen.append((*best, covers[best]))
        left = [o for o in left if o not in covers[best]]
    return chosen


def _by_context(occurrences: list[Occurrence]) -> dict[Context, list[Occurrence]]:
    covers: dict[Context, list[Occurrence]] = defaultdict(list)
    for occurrence in occurrences:
        for context in occurrence.contexts:
            covers[context].append(occurrence)
    return covers


def _tail(k: int, n: int, rate: float) -> float:
    """P(X >= k) for a binomial X."""
    return sum(comb(n, i) * rate**i * (1.0 - rate) ** (n - i) for i in range(k, n + 1))


class _Split:
    """Tokens for fitting without one fold, and that fold."""

    def __init__(self, windows: Windows, fold: frozenset[int], everything: frozenset[int]) -> None:
        self.tokens = _firing_tokens(windows, everything - fold, highest=1.0)
        left_out = [o for index in fold for o in windows.by_window[index]]
        fires = [o for o in left_out if o.activation > 0.0]
        self.firing_windows = {o.window for o in fires}
        self.n_fires, self.n_tokens, self.n_windows = len(fires), len(left_out), len(fold)
        self._by_token: dict[str, list[Occurrence]] = defaultdict(list)
        for occurrence in left_out:
            self._by_token[occurrence.token].append(occurrence)
        self._called: dict[Element, list[Occurrence]] = {}

    def called(self, element: Element) -> list[Occurrence]:
        """Occurrences in the fold that the element matches."""
        if element not in self._called:
            occurrences = self._by_token.get(element.token, ())
            self._called[element] = [o for o in occurrences if element.matches_at(o.text, o.start, o.end)]
        return self._called[element]


def _cross_validate(splits: list[_Split], settings: _Settings) -> float:
    """Mean of F1 over tokens and balanced accuracy over windows on left-out folds."""
    n_true = n_false = n_hit = 0
    for split in splits:
        elements = _fit(split.tokens, settings)[:MAX_ELEMENTS]
        called = {o for element in elements for o in split.called(element)}
        n_right = sum(o.activation > 0.0 for o in called)
        n_true, n_false = n_true + n_right, n_false + len(called) - n_right
        n_hit += len({o.window for o in called} & split.firing_windows)
    n_fires, n_tokens = (sum(getattr(split, name) for split in splits) for name in ("n_fires", "n_tokens"))
    n_firing = sum(len(split.firing_windows) for split in splits)
    f1 = 2 * n_true / max(1, n_true + n_false + n_fires)
    length = n_tokens / max(1, sum(split.n_windows for split in splits))
    # share of silent windows without a false alarm, from the rate per token
    specificity = (1 - n_false / max(1, n_tokens - n_fires)) ** length
    return (f1 + (n_hit / max(1, n_firing) + specificity) / 2) / 2
