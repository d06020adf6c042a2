"""Differences between entries, paired if both scored the same features, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from autointerp.board.metrics import bounds_of, metrics_in
from autointerp.seeds import stream
from autointerp.stats.equal_density import CALIPER, EqualDensity, equal_density_difference
from autointerp.stats.intervals import Difference, paired_difference, two_sample_difference
from autointerp.stats.significance import (
    N_ARRANGEMENTS,
    Equivalence,
    difference_p_value,
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
_MOST_PERMUTED = 4_000
"""Most values for a permutation test; above, the t-test agrees and is far quicker."""

Method = Literal["permutation", "t"]
By = Literal["dictionary", "explainer"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """First minus second in one metric under one scorer and explainer.

    `p_value` is corrected by Holm over all rows, `p_uncorrected` is not. `smallest` is the difference these features
    show with power 0.8 at level 0.05; `n_needed` the features per side that would show the observed one.
    `equal_density` compares features that fire equally often, for unpaired sides.
    """

    scorer: str
    explainer: str
    first: str
    second: str
    metric: str
    difference: Difference | None
    p_value: float | None
    p_uncorrected: float | None
    method: Method
    smallest: float | None
    n_needed: int | None
    equivalence: Equivalence | None = None
    equal_density: EqualDensity | None = None


@dataclass(frozen=True, slots=True)
class _Side:
    label: str
    rows: pd.DataFrame


def compare_within(
    scores: pd.DataFrame, *, metric: str, seed: int, margin: float | None = None, by: By = "dictionary"
) -> list[Comparison]:
    """All pairs of dictionaries of one run per scorer and explainer, or of explainers, paired by feature.

    `margin` adds a test of equivalence.
    """
    pairs = []
    if by == "explainer":
        for (scorer, dictionary), rows in _groups(scores, ["scorer", "dictionary"]):
            sides = [_Side(f"{dictionary}/{name}", group) for name, group in rows.groupby("explainer", sort=True)]
            pairs += [(scorer, "", a, b, True) for a, b in combinations(sides, 2)]
    else:
        for (scorer, explainer), rows in _groups(scores, ["scorer", "explainer"]):
            sides = [_Side(str(name), group) for name, group in rows.groupby("dictionary", sort=True)]
            pairs += [(scorer, explainer, a, b, False) for a, b in combinations(sides, 2)]
    return _compare(pairs, metric=metric, seed=seed, margin=margin)


def compare_runs(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    labels: tuple[str, str],
    shared: set[str],
    metric: str,
    seed: int,
    margin: float | None = None,
) -> list[Comparison]:
    """Dictionaries of equal names in two runs; those in `shared` have the same evidence and are paired by feature."""
    keys = ["scorer", "explainer", "dictionary"]
    theirs = dict(_groups(second, keys))
    pairs = [
        (
            scorer,
            explainer,
            _Side(f"{labels[0]}/{name}", rows),
            _Side(f"{labels[1]}/{name}", theirs[scorer, explainer, name]),
            name in shared,
        )
        for (scorer, explainer, name), rows in _groups(first, keys)
        if (scorer, explainer, name) in theirs
    ]
    return _compare(pairs, metric=metric, seed=seed, margin=margin)


def find_unpaired(first: pd.DataFrame, second: pd.DataFrame, *, labels: tuple[str, str]) -> list[str]:
    """Messages about entries of one run that the other lacks."""
    keys = ["scorer", "explainer", "dictionary"]
    mine, theirs = ([key for key, _ in _groups(scores, keys)] for scores in (first, second))
    messages = []
    for side, (own, others) in enumerate(((mine, theirs), (theirs, mine))):
        for scorer, explainer, name in own:
            asked = f"{scorer} of {explainer}" if explainer else scorer
            if (scorer, explainer, name) not in others:
                messages.append(f"{labels[side]}/{name} ({asked}) has no entry of its name in {labels[1 - side]}")
    return messages


def _groups(scores: pd.DataFrame, keys: list[str]) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """The rows of each group, in order; one group without explainers."""
    table = scores if "explainer" in scores else scores.assign(explainer="")
    return [(tuple(map(str, key)), rows) for key, rows in table.groupby(keys, sort=True)]  # type: ignore[arg-type]


def _compare(
    pairs: Sequence[tuple[str, str, _Side, _Side, bool]], *, metric: str, seed: int, margin: float | None
) -> list[Comparison]:
    comparisons = []
    for scorer, explainer, first, second, is_shared in pairs:
        a, b = _values(first, second, metric, is_shared=is_shared)
        rng = stream(seed, "compare", scorer, explainer, first.label, second.label, metric)
        reach = 2.0 if metric == "score" or bounds_of(metric)[0] < 0 else 1.0
        test = paired_difference if is_shared else two_sample_difference
        difference = test(a.tolist(), b.tolist(), rng=rng, bounds=(-reach, reach))
        p_value, method = _test(a, b, is_shared=is_shared, rng=rng, n_rows=len(pairs))
        smallest = n_needed = equivalence = None
        if min(len(a), len(b)) > 1:
            # paired: the spread of the gaps takes the place of one side's, so the other side adds none
            spread = np.std(a - b, ddof=1) / 2**0.5 if is_shared else np.std(np.append(a - a.mean(), b - b.mean()))
            smallest = smallest_difference(len(a), deviation=float(spread), n_other=len(b))
            if difference is not None and abs(difference.mean) > _NEAR:
                n_needed = features_needed(abs(difference.mean), deviation=float(spread))
        adjusted = None
        if not is_shared and all("density" in side.rows for side in (first, second)):
            adjusted = equal_density_difference(
                *_with_density(first, metric), *_with_density(second, metric), rng=rng, bounds=(-reach, reach)
            )
        if margin is not None:
            equivalence = find_equivalence(a.tolist(), b.tolist(), margin=margin, is_paired=is_shared)
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
    """The p-value and the name of its test."""
    if len(a) + len(b) > _MOST_PERMUTED:
        return difference_p_value(a.tolist(), b.tolist(), is_paired=is_shared), "t"
    if is_shared and len(a) and not np.ptp(a - b) and not np.any(a - b):
        return None, "permutation"  # the same values twice: there is nothing to test
    test = paired_permutation_p if is_shared else two_sample_permutation_p
    # Arrangements grow with the rows, so that the smallest p-value stays below Holm's first step.
    n_arrangements = min(_MOST_ARRANGEMENTS, max(N_ARRANGEMENTS, 200 * n_rows - 1))
    return test(a.tolist(), b.tolist(), rng=rng, n_arrangements=n_arrangements), "permutation"


def _values(first: _Side, second: _Side, metric: str, *, is_shared: bool) -> tuple[np.ndarray, np.ndarray]:
    """The defined values; for shared features those defined on both sides, in one order."""
    a, b = (dict(zip(side.rows["feature"], side.rows[metric], strict=True)) for side in (first, second))
    a, b = ({feature: value for feature, value in values.items() if pd.notna(value)} for values in (a, b))
    if is_shared:
        both = sorted(a.keys() & b.keys())
        return np.array([a[f] for f in both], dtype=float), np.array([b[f] for f in both], dtype=float)
    return np.array(list(a.values()), dtype=float), np.array(list(b.values()), dtype=float)


def _with_density(side: _Side, metric: str) -> tuple[list[float], list[float]]:
    known = side.rows[pd.notna(side.rows[metric]) & (side.rows["density"] > 0)]
    return known[metric].astype(float).tolist(), known["density"].astype(float).tolist()


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
            lines.append(f"    {_equal_density(row.equal_density)}")
        if row.equivalence is not None:
            lines.append(f"    {_equivalence(row.equivalence)}")
    methods = sorted({row.method for row in rows})
    tests = " or ".join({"permutation": "permutation tests", "t": "t-tests"}[method] for method in methods)
    lines.append(
        f"p is of {tests}, corrected by Holm over these {len(rows)} rows; 'can show' is the smallest difference found "
        "8 times in 10, 'needed' the features a side that would find the one seen as often. Intervals: 95%, features "
        "drawn, BCa where paired, percentile else, both expanded."
    )
    if not any(row.equivalence for row in rows):
        lines.append("A difference that is not found shows no equality: --margin M tests whether it lies within M.")
    return "\n".join(lines)


def _equal_density(found: EqualDensity) -> str:
    pairs = f"{found.n_pairs} of {found.n_possible} possible pairs within {CALIPER:g}x"
    if found.medians is not None:
        pairs += f"; median densities {found.medians[0]:.2g} and {found.medians[1]:.2g}"
    if found.matched is None:
        return f"at equal density: no number, the densities do not overlap ({pairs})"
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
