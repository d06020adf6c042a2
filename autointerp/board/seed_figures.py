"""Figures of an entry trained with several seeds: intervals over seeds, shares of variance, and each seed's means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autointerp.board.score_table import ScoreGroup, ScoreRows
from autointerp.config.dictionary_name import seed_of
from autointerp.stats.intervals import Interval
from autointerp.stats.seed_effect import SeedMean, variance_shares, widen

__all__ = ["Quality", "SeededRows", "mean_quality", "seed_mean"]

Quality = Mapping[str, Any]
"""Figures of a dictionary on held-out activations by name: `normalised_mse`, `l0`, `loss_recovered`, ..."""

SeedMeanOf = Callable[[ScoreRows], SeedMean]


class SeededRows:
    """The rows of one entry, divided by dictionary."""

    def __init__(self, dictionaries: Sequence[str], rows: ScoreRows) -> None:
        self.rows = rows
        self.by_dictionary = {name: rows.of(name) for name in dictionaries}

    def widen(self, found: Interval | None, mean: SeedMeanOf, bounds: tuple[float, float]) -> Interval | None:
        """The interval over features, extended to hold the one over seeds."""
        if found is None or len(self.by_dictionary) < 2:
            return found
        seeds = [mean(rows) for rows in self.by_dictionary.values()]
        return widen(found, [seed for seed in seeds if seed.n], bounds=bounds)

    def shares(
        self, group: ScoreGroup, window_shares: Mapping[tuple[str, ScoreGroup], float], *, metric: str
    ) -> dict[str, Any]:
        """`window_share` of the spread over features, and `variance_shares` for several seeds."""
        told = [window_shares.get((name, group)) for name in self.by_dictionary]
        if len(told) == 1:
            return {"window_share": told[0]}
        is_f1 = metric.removeprefix("macro_") == "f1"
        by_seed = [rows.defined("f1" if is_f1 else "score") for rows in self.by_dictionary.values()]
        shares = variance_shares(by_seed, window_shares=told if is_f1 else None)
        if shares is None:
            return {"window_share": None, "variance_shares": None}
        within = 1 - shares.seeds
        share = shares.windows / within if shares.windows is not None and within else None
        return {"window_share": share, "variance_shares": shares._asdict()}

    def by_seed(self, measures: Sequence[str]) -> dict[str, Any]:
        """`n_seeds`, and `by_seed` with dictionary, counts and means of each seed; empty for one seed."""
        if len(self.by_dictionary) < 2:
            return {}
        found = []
        for name, rows in self.by_dictionary.items():
            means = {measure: seed_mean(lambda rows, column=measure: rows[column])(rows) for measure in measures}
            found.append(
                {
                    "seed": seed_of(name),
                    "dictionary": name,
                    "n_sampled": len(rows),
                    "n_scored": rows["unscored"].count(None),
                    **{measure: mean._asdict() for measure, mean in means.items() if mean.n},
                }
            )
        return {"n_seeds": len(found), "by_seed": found}


def seed_mean(values: Callable[[ScoreRows], Sequence[float | None]]) -> SeedMeanOf:
    """A seed's mean over its rows; 0.0 without rows."""

    def mean(rows: ScoreRows) -> SeedMean:
        known = [found for found in values(rows) if found is not None]
        return SeedMean(float(np.mean(known)) if known else 0.0, len(known))

    return mean


def mean_quality(seeds: Sequence[Quality]) -> Quality:
    """Mean of each figure over seeds, None if one lacks it; equal values stay. Of several facts (a cluster of rare
    features) the first seed's that has one.
    """
    if len(seeds) == 1:
        return seeds[0]
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for quality in seeds for name in quality):
        values = [quality.get(name) for quality in seeds]
        numbers = [value for value in values if isinstance(value, int | float)]
        facts = [value for value in values if isinstance(value, Mapping)]
        mean = float(np.mean(numbers)) if len(numbers) == len(values) else None
        found[name] = values[0] if all(value == values[0] for value in values) else facts[0] if facts else mean
    return found
