"""How interpretable features are next to neurons and random directions: activations, logit weights, the whole range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from autointerp.seeds import stream
from autointerp.stats.intervals import Interval, mean_interval, paired_difference, two_sample_difference
from autointerp.studies.bricken2023.options import BrickenOptions, main_entry
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.paper import Finding, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compare_scores", "measure_interpretability"]

NUMBERS = {
    "activations": ("simulation", "rank_correlation"),
    "logit weights": ("logit_weights", "accuracy"),
    "weak firings": ("recall", "recall_low"),
    "strong firings": ("recall", "recall_high"),
}
"""Scorer and column of each number."""


def measure_interpretability(setting: Setting[BrickenOptions]) -> Finding:
    run, name, seed = setting.run(), main_entry(setting).name, setting.config.seed
    neurons = next((each.name for each in setting.config.dictionaries if each.kind == "identity"), None)
    scores = run.scores
    values = {
        number: {entry.name: _values(scores, entry.name, scorer, column) for entry in setting.config.every_dictionary}
        for number, (scorer, column) in NUMBERS.items()
    }
    means = {
        number: {
            each: mean_interval(found.tolist(), rng=stream(seed, number, each), bounds=(-1, 1))
            for each, found in by.items()
            if len(found)
        }
        for number, by in values.items()
    }
    rows = [
        {"number": number, "dictionary": each, "mean": i and i.mean, "lo": i and i.lo, "hi": i and i.hi, "n": i and i.n}
        for number, by in means.items()
        for each, i in by.items()
    ]
    theirs = {"activations": "features well above neurons, by figure", "logit weights": "0.74; neurons 0.58"}
    claims = [
        compare_scores(
            f"features are more interpretable than neurons: {number}", said, values[number], name, neurons, seed
        )
        for number, said in theirs.items()
    ]
    claims.append(_range(values, name, seed))
    return Finding(claims, {"interpretability": rows}, {"interpretability": _draw(means)})


def compare_scores(
    claim: str, theirs: str, values: Mapping[str, pd.Series], name: str, neurons: str | None, seed: int
) -> Claim:
    """Features against neurons; the other dictionaries stand beside."""
    own = values[name]
    if neurons is None or not len(own) or not len(values[neurons]):
        return Claim(claim, theirs, "-", "not measured", "no scores of both; name a dictionary of kind 'identity'")
    gap = two_sample_difference(own.tolist(), values[neurons].tolist(), rng=stream(seed, "interpretability", claim))
    assert gap is not None
    interval = Interval(gap.mean, gap.lo, gap.hi, min(gap.n_first, gap.n_second))
    told = ", ".join(f"{each} {found.mean():.2f}" for each, found in values.items() if len(found))
    return Claim(
        claim,
        theirs,
        f"{name} less {neurons}: {render_interval(interval)}",
        verdict_of(interval, above=0.0),
        f"means: {told}; the judge `pattern` lists tokens and is no language model",
    )


def _range(values: Mapping[str, Mapping[str, pd.Series]], name: str, seed: int) -> Claim:
    weak, strong = (values[number][name] for number in ("weak firings", "strong firings"))
    both = weak.index.intersection(strong.index)
    claim, theirs = "strong activations are more interpretable than weak ones", "the top 60% of the range, by figure"
    gap = paired_difference(strong[both].tolist(), weak[both].tolist(), rng=stream(seed, "range"))
    if gap is None:
        return Claim(
            claim, theirs, "-", "not measured", "no feature was scored in both halves; add the scorer 'recall'"
        )
    interval = Interval(gap.mean, gap.lo, gap.hi, gap.n_first)
    return Claim(
        claim,
        theirs,
        f"recall in the upper less the lower half of the range: {render_interval(interval)}",
        verdict_of(interval, above=0.0),
        f"recall {strong[both].mean():.2f} and {weak[both].mean():.2f}",
    )


def _values(scores: pd.DataFrame, dictionary: str, scorer: str, column: str) -> pd.Series:
    """Defined values by feature."""
    rows = scores[(scores["dictionary"] == dictionary) & (scores["scorer"] == scorer)]
    return pd.Series(np.asarray(rows[column], dtype=float), index=np.asarray(rows["feature"])).dropna()


def _draw(means: Mapping[str, Mapping[str, Interval | None]]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    figure, axes = new_figure(1, len(means), width=2.6, height=2.8)
    for panel, (number, by) in zip(axes[0], means.items(), strict=True):
        kept = {name: each for name, each in by.items() if each is not None}
        for place, (name, each) in enumerate(kept.items()):
            reach = [[each.mean - each.lo], [each.hi - each.mean]]
            panel.errorbar([each.mean], [place], xerr=reach, fmt="o", color=COLOURS[place % len(COLOURS)], label=name)
        panel.set_yticks(range(len(kept)), list(kept))
        panel.set(title=number)
    return figure
