"""Exact scores of judges that read nothing, from label counts (firing, silent): at 5 + 5, "fires" everywhere has F1
0.667.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import comb

from autointerp.stats.confusion import Table
from autointerp.stats.metrics import f1, macro_f1

__all__ = [
    "Baselines",
    "always_no_accuracy",
    "always_yes_f1",
    "always_yes_macro_f1",
    "coin_f1",
    "coin_macro_f1",
    "coin_mean",
    "mean_baselines",
]


@dataclass(frozen=True, slots=True)
class Baselines:
    """Mean trivial scores over features; None without features."""

    always_yes_f1: float | None
    always_no_accuracy: float | None
    coin_f1: float | None
    always_yes_macro_f1: float | None
    coin_macro_f1: float | None


def always_yes_f1(n_positive: int, n_negative: int) -> float:
    """F1 of calling every window firing: 2P / (2P + N)."""
    _check(n_positive, n_negative)
    return 2 * n_positive / (2 * n_positive + n_negative)


def always_no_accuracy(n_positive: int, n_negative: int) -> float:
    """Accuracy of calling every window silent: N / (P + N). Its F1 is 0."""
    _check(n_positive, n_negative)
    return n_negative / (n_positive + n_negative)


@lru_cache(maxsize=4096)
def coin_f1(n_positive: int, n_negative: int) -> float:
    """Expected F1 of a fair coin, by enumeration: 0.487 at 5 + 5, 0.497 at 20 + 20."""
    return coin_mean(f1, n_positive, n_negative)


def coin_mean(metric: Callable[[Table], float | None], n_positive: int, n_negative: int) -> float:
    """Expected metric of a fair coin over all tables; undefined values count 0."""
    _check(n_positive, n_negative)
    # both counts of a fair coin are binomial
    hits, alarms = ([comb(n, k) / 2**n for k in range(n + 1)] for n in (n_positive, n_negative))
    return sum(
        hits[hit] * alarms[alarm] * (metric(Table(hit, alarm, n_positive - hit, n_negative - alarm)) or 0.0)
        for hit in range(n_positive + 1)
        for alarm in range(n_negative + 1)
    )


@lru_cache(maxsize=4096)
def coin_macro_f1(n_positive: int, n_negative: int) -> float:
    """Expected macro-F1 of a fair coin: 0.487 at 5 + 5."""
    return coin_mean(macro_f1, n_positive, n_negative)


def always_yes_macro_f1(n_positive: int, n_negative: int) -> float:
    """Macro-F1 of calling every window firing."""
    _check(n_positive, n_negative)
    return macro_f1(Table(n_positive, n_negative, 0, 0)) or 0.0


def mean_baselines(label_counts: Iterable[tuple[int, int]]) -> Baselines:
    """One (firing, silent) pair per feature."""
    counts = Counter(label_counts)
    n = counts.total()
    if not n:
        return Baselines(None, None, None, None, None)
    pairs = sorted(counts)
    return Baselines(
        *(
            sum(measure(*pair) * counts[pair] for pair in pairs) / n
            for measure in (always_yes_f1, always_no_accuracy, coin_f1, always_yes_macro_f1, coin_macro_f1)
        )
    )


def _check(n_positive: int, n_negative: int) -> None:
    if n_positive < 0 or n_negative < 0 or n_positive + n_negative == 0:
        raise ValueError(f"label counts must be non-negative and not both 0, not {n_positive} and {n_negative}")
