"""Differences between entries: paired where both scored the same features, corrected for how many are looked at.

Takes tables of scores; knows nothing of files or journals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from autointerp.seeds import stream
from autointerp.stats.intervals import Difference, paired_difference, two_sample_difference
from autointerp.stats.multiplicity import difference_p_value, holm
from autointerp.stats.power import smallest_difference

__all__ = ["METRICS", "Comparison", "compare_runs", "compare_within", "render_comparisons"]

METRICS = ("f1", "f1_lenient", "balanced_accuracy", "matthews", "excess", "beyond_token", "near_miss", "auroc")


@dataclass(frozen=True, slots=True)
class Comparison:
    """First minus second in one metric under one scorer. `p_value` is corrected by Holm over all rows together.

    `smallest` is the difference that this many features find with probability 0.8 at level 0.05, uncorrected.
    """

    scorer: str
    first: str
    second: str
    metric: str
    difference: Difference | None
    p_value: float | None
    smallest: float | None


@dataclass(frozen=True, slots=True)
class _Side:
    label: str
    rows: pd.DataFrame


def compare_within(scores: pd.DataFrame, *, metric: str, seed: int) -> list[Comparison]:
    """Every pair of dictionaries of one run, under each scorer."""
    pairs = []
    for scorer, rows in scores.groupby("scorer", sort=True):
        sides = [_Side(str(name), group) for name, group in rows.groupby("dictionary", sort=True)]
        pairs += [(str(scorer), a, b, False) for a, b in combinations(sides, 2)]
    return _compare(pairs, metric=metric, seed=seed)


def compare_runs(
    first: pd.DataFrame, second: pd.DataFrame, *, labels: tuple[str, str], shared: set[str], metric: str, seed: int
) -> list[Comparison]:
    """Dictionaries of the same name in two runs; those in `shared` have the same evidence and are paired by feature."""
    theirs = dict(_sides(second))
    pairs = [
        (scorer, _Side(f"{labels[0]}/{name}", rows), _Side(f"{labels[1]}/{name}", theirs[scorer, name]), name in shared)
        for (scorer, name), rows in _sides(first)
        if (scorer, name) in theirs
    ]
    return _compare(pairs, metric=metric, seed=seed)


def _sides(scores: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """The rows of each scorer and dictionary, in order."""
    groups = scores.groupby(["scorer", "dictionary"], sort=True)
    return [((str(key[0]), str(key[1])), rows) for key, rows in groups]  # type: ignore[index]


def _compare(pairs: Sequence[tuple[str, _Side, _Side, bool]], *, metric: str, seed: int) -> list[Comparison]:
    found = []
    for scorer, first, second, is_shared in pairs:
        a, b = _values(first, second, metric, is_shared=is_shared)
        rng = stream(seed, "compare", scorer, first.label, second.label, metric)
        bounds = (-2.0, 2.0) if metric in {"excess", "beyond_token", "matthews"} else (-1.0, 1.0)
        test = paired_difference if is_shared else two_sample_difference
        difference = test(a.tolist(), b.tolist(), rng=rng, bounds=bounds)
        p_value = difference_p_value(a.tolist(), b.tolist(), is_paired=is_shared)
        smallest = None
        if min(len(a), len(b)) > 1:
            # paired: the spread of the gaps takes the place of one side's, so the other side adds none
            spread = np.std(a - b, ddof=1) / 2**0.5 if is_shared else np.std(np.append(a - a.mean(), b - b.mean()))
            smallest = smallest_difference(len(a), deviation=float(spread), n_other=len(b))
        found.append(Comparison(scorer, first.label, second.label, metric, difference, p_value, smallest))
    corrected = holm([row.p_value for row in found])
    return [
        Comparison(row.scorer, row.first, row.second, row.metric, row.difference, p, row.smallest)
        for row, p in zip(found, corrected, strict=True)
    ]


def _values(first: _Side, second: _Side, metric: str, *, is_shared: bool) -> tuple[np.ndarray, np.ndarray]:
    """The metric where it is defined; of shared features those that have it on both sides, in one order."""
    a, b = (dict(zip(side.rows["feature"], side.rows[metric], strict=True)) for side in (first, second))
    a, b = ({feature: value for feature, value in values.items() if pd.notna(value)} for values in (a, b))
    if is_shared:
        both = sorted(a.keys() & b.keys())
        return np.array([a[f] for f in both], dtype=float), np.array([b[f] for f in both], dtype=float)
    return np.array(list(a.values()), dtype=float), np.array(list(b.values()), dtype=float)


def render_comparisons(rows: Sequence[Comparison]) -> str:
    """The comparisons as lines of text."""
    if not rows:
        return "nothing to compare: no two entries share a scorer"
    lines = []
    for row in rows:
        head = f"{row.scorer}: {row.first} - {row.second}"
        if row.difference is None:
            lines.append(f"{head}: {row.metric} not measured on both")
            continue
        d = row.difference
        sizes = f"{d.n_first} paired" if d.is_paired else f"{d.n_first} and {d.n_second}"
        effect = "" if d.effect_size is None else f", effect {d.effect_size:+.2f}"
        p = "" if row.p_value is None else f", p {row.p_value:.2g}"
        least = "" if row.smallest is None else f", can show {row.smallest:.3f}"
        lines.append(f"{head}: {row.metric} {d.mean:+.3f} [{d.lo:+.3f}, {d.hi:+.3f}]{effect}{p} (n {sizes}{least})")
    lines.append("p is corrected by Holm over these rows; 'can show' is the smallest difference found 8 times in 10.")
    return "\n".join(lines)
