"""Differences between entries, paired if both scored the same features, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import stdtr

from autointerp.board.metrics import bounds_of, metrics_in
from autointerp.config.dictionary_name import entry_of, seed_of
from autointerp.seeds import stream
from autointerp.stats.equal_density import CALIPER, EqualDensity, equal_density_difference
from autointerp.stats.intervals import Difference, paired_difference, two_sample_difference
from autointerp.stats.seed_effect import Spread
from autointerp.stats.seeded_difference import seeded_equal_density, seeded_spread, widen_difference
from autointerp.stats.significance import (
    N_ARRANGEMENTS,
    Equivalence,
    difference_p_value,
    equivalence_of,
    features_needed,
    find_equivalence,
    holm,
    paired_permutation_p,
    smallest_difference,
    two_sample_permutation_p,
)

__all__ = ["COMPARED", "Comparison", "compare_runs", "compare_within", "find_unpaired", "render_comparisons"]

COMPARED = tuple(metric.name for metric in metrics_in("compare"))
_NEAR = 1e-9
_MOST_ARRANGEMENTS = 99_999
_MOST_PERMUTED = 4_000  # most values for a permutation test; above, the t-test agrees and is far quicker

Method = Literal["permutation", "t", "seeds"]
By = Literal["dictionary", "explainer"]
Entries = tuple[str, str]
"""The entry of each run that is compared."""

_TESTS: Mapping[Method, str] = {
    "permutation": "permutation tests",
    "t": "t-tests",
    "seeds": "t-tests over seeds",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """First minus second in one metric under one scorer and explainer; several seeds are a random effect."""

    scorer: str
    explainer: str
    first: str
    second: str
    metric: str
    difference: Difference | None
    p_value: float | None  # corrected by Holm over all rows
    p_uncorrected: float | None
    method: Method
    smallest: float | None  # difference that these features show with power 0.8 at level 0.05
    # Features per side that would show the observed difference; None with several seeds, as more features tell nothing
    # about another seed.
    n_needed: int | None
    equivalence: Equivalence | None = None
    equal_density: EqualDensity | None = None  # among features that fire equally often, for unpaired sides


@dataclass(frozen=True, slots=True)
class _Side:
    label: str
    rows: pd.DataFrame


def compare_within(
    scores: pd.DataFrame, *, metric: str, seed: int, margin: float | None = None, by: By = "dictionary"
) -> list[Comparison]:
    """All pairs of dictionaries of one run per scorer and explainer, or of explainers, paired by feature."""
    pairs = []
    if by == "explainer":
        for (scorer, entry), rows in _groups(scores, ["scorer", "entry"]):
            sides = [_Side(f"{entry}/{name}", group) for name, group in rows.groupby("explainer", sort=True)]
            pairs += [(scorer, "", a, b, True) for a, b in combinations(sides, 2)]
    else:
        for (scorer, explainer), rows in _groups(scores, ["scorer", "explainer"]):
            sides = [_Side(str(name), group) for name, group in rows.groupby("entry", sort=True)]
            pairs += [(scorer, explainer, a, b, False) for a, b in combinations(sides, 2)]
    return _compare(pairs, metric=metric, seed=seed, margin=margin)


def compare_runs(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    labels: tuple[str, str],
    entries: Entries | None = None,
    shared: set[str],
    metric: str,
    seed: int,
    margin: float | None = None,
) -> list[Comparison]:
    """Entries of equal names in two runs, or the two named; dictionaries in `shared` have the same evidence and are
    paired by feature.
    """
    mine, theirs = _by_entry(first, entries and entries[0]), _by_entry(second, entries and entries[1])
    pairs = []
    for (scorer, explainer, name), rows in mine.items():
        other = entries[1] if entries else name
        found = theirs.get((scorer, explainer, other))
        if found is not None:
            is_shared = name == other and shared.issuperset([*rows["dictionary"], *found["dictionary"]])
            sides = (_Side(f"{labels[0]}/{name}", rows), _Side(f"{labels[1]}/{other}", found))
            pairs.append((scorer, explainer, *sides, is_shared))
    return _compare(pairs, metric=metric, seed=seed, margin=margin)


def find_unpaired(
    first: pd.DataFrame, second: pd.DataFrame, *, labels: tuple[str, str], entries: Entries | None = None
) -> list[str]:
    """Messages about entries that pair with nothing."""
    mine, theirs = _by_entry(first, entries and entries[0]), _by_entry(second, entries and entries[1])
    messages = []
    for side, (own, others) in enumerate(((mine, theirs), (theirs, mine))):
        for scorer, explainer, name in own:
            asked = f"{scorer} of {explainer}" if explainer else scorer
            other = entries[1 - side] if entries else name
            if (scorer, explainer, other) not in others:
                lacks = f"no scores of {other} so asked" if entries else "no entry of its name"
                messages.append(f"{labels[side]}/{name} ({asked}) has {lacks} in {labels[1 - side]}")
    return messages


def _by_entry(scores: pd.DataFrame, entry: str | None) -> dict[tuple[str, ...], pd.DataFrame]:
    """Rows by scorer, explainer and entry; of the one named, if one is."""
    groups = _groups(scores, ["scorer", "explainer", "entry"])
    return {key: rows for key, rows in groups if entry in (None, key[2])}


def _groups(scores: pd.DataFrame, keys: list[str]) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    table = scores if "explainer" in scores else scores.assign(explainer="")
    table = table.assign(entry=table["dictionary"].map(entry_of))
    return [(tuple(map(str, key)), rows) for key, rows in table.groupby(keys, sort=True)]  # type: ignore[arg-type]


def _compare(
    pairs: Sequence[tuple[str, str, _Side, _Side, bool]], *, metric: str, seed: int, margin: float | None
) -> list[Comparison]:
    comparisons = []
    for scorer, explainer, first, second, is_shared in pairs:
        by_seed = _values(first, second, metric, is_shared=is_shared)
        a, b = (np.concatenate(side) for side in by_seed)
        has_seeds = max(map(len, by_seed)) > 1
        rng = stream(seed, "compare", scorer, explainer, first.label, second.label, metric)
        limit = 2.0 if metric == "score" or bounds_of(metric)[0] < 0 else 1.0
        bounds = (-limit, limit)
        test = paired_difference if is_shared else two_sample_difference
        difference = test(a.tolist(), b.tolist(), rng=rng, bounds=bounds)
        smallest = n_needed = equivalence = adjusted = None
        if has_seeds:
            spread = seeded_spread(*by_seed, is_paired=is_shared)
            difference = difference and widen_difference(difference, spread, bounds=bounds)
            p_value, method = _seeds_p(difference, spread), "seeds"
            smallest = None if spread is None else spread.detectable()
            if margin is not None and difference is not None and spread is not None:
                equivalence = equivalence_of(difference.mean, *spread, margin=margin)
        else:
            p_value, method = _test(a, b, is_shared=is_shared, rng=rng, n_rows=len(pairs))
            if min(len(a), len(b)) > 1:
                # paired: the spread of the gaps takes the place of one side's, so the other side adds none
                spread = np.std(a - b, ddof=1) / 2**0.5 if is_shared else np.std(np.append(a - a.mean(), b - b.mean()))
                smallest = smallest_difference(len(a), deviation=float(spread), n_other=len(b))
                if difference is not None and abs(difference.mean) > _NEAR:
                    n_needed = features_needed(abs(difference.mean), deviation=float(spread))
            if margin is not None:
                equivalence = find_equivalence(a.tolist(), b.tolist(), margin=margin, is_paired=is_shared)
        if not is_shared and all("density" in side.rows for side in (first, second)):
            adjusted = _at_equal_density(first, second, metric, rng=rng, bounds=bounds)
        comparisons.append(
            Comparison(
                scorer=scorer,
                explainer=explainer,
                first=first.label,
                second=second.label,
                metric=metric,
                difference=difference,
                p_value=None,
                p_uncorrected=p_value,
                method=method,
                smallest=smallest,
                n_needed=n_needed,
                equivalence=equivalence,
                equal_density=adjusted,
            )
        )
    corrected = holm([row.p_uncorrected for row in comparisons])
    return [replace(row, p_value=p) for row, p in zip(comparisons, corrected, strict=True)]


def _test(
    a: np.ndarray, b: np.ndarray, *, is_shared: bool, rng: np.random.Generator, n_rows: int
) -> tuple[float | None, Method]:
    if len(a) + len(b) > _MOST_PERMUTED:
        return difference_p_value(a.tolist(), b.tolist(), is_paired=is_shared), "t"
    if is_shared and len(a) and not np.ptp(a - b) and not np.any(a - b):
        return None, "permutation"  # the same values twice: there is nothing to test
    test = paired_permutation_p if is_shared else two_sample_permutation_p
    # Arrangements grow with the rows, so that the smallest p-value stays below Holm's first step.
    n_arrangements = min(_MOST_ARRANGEMENTS, max(N_ARRANGEMENTS, 200 * n_rows - 1))
    return test(a.tolist(), b.tolist(), rng=rng, n_arrangements=n_arrangements), "permutation"


def _seeds_p(difference: Difference | None, spread: Spread | None) -> float | None:
    """By Student's t; None if nothing varies."""
    if difference is None or spread is None or not spread.error:
        return None
    return float(2 * stdtr(spread.freedom, -abs(difference.mean) / spread.error))


def _values(first: _Side, second: _Side, metric: str, *, is_shared: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Defined values by seed; for shared features those defined on both sides, in one order."""
    sides = [
        {
            name: {feature: v for feature, v in zip(rows["feature"], rows[metric], strict=True) if pd.notna(v)}
            for name, rows in _by_seed(side)
        }
        for side in (first, second)
    ]
    if is_shared:
        a, b = sides
        both = [(a[name], b[name], sorted(a[name].keys() & b[name].keys())) for name in a if name in b]
        left = [np.array([mine[feature] for feature in features], dtype=float) for mine, _, features in both]
        right = [np.array([theirs[feature] for feature in features], dtype=float) for _, theirs, features in both]
        return left, right
    left, right = ([np.array(list(values.values()), dtype=float) for values in side.values()] for side in sides)
    return left, right


def _by_seed(side: _Side) -> list[tuple[str, pd.DataFrame]]:
    """Rows of each of an entry's dictionaries, by seed."""
    groups = [(str(name), rows) for name, rows in side.rows.groupby("dictionary", sort=False)]
    return sorted(groups, key=lambda group: seed_of(group[0]))


def _at_equal_density(
    first: _Side, second: _Side, metric: str, *, rng: np.random.Generator, bounds: tuple[float, float]
) -> EqualDensity:
    columns = [column for side in (first, second) for column in _with_density(side, metric)]
    if max(map(len, columns)) > 1:
        return seeded_equal_density(*columns, rng=rng, bounds=bounds)
    return equal_density_difference(*(column[0].tolist() for column in columns), rng=rng, bounds=bounds)


def _with_density(side: _Side, metric: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Values and densities by seed, where both are known."""
    known = [rows[pd.notna(rows[metric]) & (rows["density"] > 0)] for _, rows in _by_seed(side)]
    values, densities = ([np.asarray(rows[column], dtype=float) for rows in known] for column in (metric, "density"))
    return values, densities


def render_comparisons(rows: Sequence[Comparison]) -> str:
    if not rows:
        return "nothing to compare: no two entries share a scorer"
    has_several = len({row.explainer for row in rows}) > 1
    lines = []
    for row in rows:
        asked = f"{row.scorer} of {row.explainer}" if has_several else row.scorer
        head = f"{asked}: {row.first} - {row.second}"
        if row.difference is None:
            lines.append(f"{head}: {row.metric} not measured on both")
            continue
        d = row.difference
        sizes = f"{d.n_first} paired" if d.is_paired else f"{d.n_first} and {d.n_second}"
        effect = "" if d.effect_size is None else f", effect {d.effect_size:+.2f}"
        p = "" if row.p_value is None else f", p {row.p_value:.2g}"
        least = "" if row.smallest is None else f", can show {row.smallest:.3f}"
        needed = "" if row.n_needed is None else f", {row.n_needed:,} needed for this one"
        figure = f"{row.metric} {_signed(d)}{effect}{p}"
        lines.append(f"{head}: {figure} (n {sizes}{least}{needed})")
        if row.equal_density is not None:
            lines.append(f"    {_equal_density(row.equal_density, has_seeds=row.method == 'seeds')}")
        if row.equivalence is not None:
            lines.append(f"    {_equivalence(row.equivalence)}")
    methods = {row.method for row in rows}
    tests = " or ".join(words for method, words in sorted(_TESTS.items()) if method in methods)
    lines.append(
        f"p is of {tests}, corrected by Holm over these {len(rows)} rows; 'can show' is the smallest difference found "
        "8 times in 10, 'needed' the features a side that would find the one seen as often. Intervals: 95%, features "
        "drawn, BCa where paired, percentile else, both expanded."
    )
    if any(row.method == "seeds" for row in rows):
        lines.append(
            "Where a side was trained with several seeds, intervals, p and 'can show' are over seeds, and no narrower "
            "than over features; more seeds find smaller differences, more features hardly do."
        )
    if not any(row.equivalence for row in rows):
        lines.append("A difference that is not found shows no equality: --margin M tests whether it lies within M.")
    return "\n".join(lines)


def _equal_density(found: EqualDensity, *, has_seeds: bool) -> str:
    pairs = f"{found.n_pairs} of {found.n_possible} possible pairs within {CALIPER:g}x"
    if found.medians is not None:
        pairs += f"; median densities {found.medians[0]:.2g} and {found.medians[1]:.2g}"
    if found.matched is None:
        why = "fewer than two seeds have 20 pairs" if has_seeds else "the densities do not overlap"
        return f"at equal density: no number, {why} ({pairs})"
    strata = "" if found.strata is None else f"; by strata {_signed(found.strata)}"
    return f"at equal density: {_signed(found.matched)} ({pairs}){strata}"


def _signed(d: Difference) -> str:
    return f"{d.mean:+.3f} [{d.lo:+.3f}, {d.hi:+.3f}]"


def _equivalence(found: Equivalence) -> str:
    words = {
        "equivalent": "shown to be equivalent",
        "different": "shown to differ by more",
        "undecided": "undecided: neither equivalence nor a larger difference is shown",
    }
    interval = f"90% interval [{found.lo:+.3f}, {found.hi:+.3f}]"
    return f"within {found.margin:g}: {words[found.verdict]} ({interval}, two one-sided t-tests p {found.p_value:.2g})"
