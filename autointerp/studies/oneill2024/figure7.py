"""Section 5, figure 7: how interpretable the features of an SAE and of an MLP encoder are, by the paper's macro-F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from autointerp.board.comparison import Comparison, compare_within
from autointerp.board.score_table import iter_rows
from autointerp.config.dictionary_entry import FIXED_KINDS
from autointerp.config.dictionary_name import entry_of
from autointerp.errors import ConfigError
from autointerp.run import Run
from autointerp.seeds import stream
from autointerp.stats.baselines import always_yes_macro_f1, coin_macro_f1
from autointerp.stats.equal_density import CALIPER
from autointerp.stats.intervals import Interval, mean_interval
from autointerp.stats.seed_effect import SeedMean, widen
from autointerp.studies.claim import Claim, gap_of, render_interval, verdict_of
from autointerp.studies.oneill2024.options import OneillOptions, encoder_pair
from autointerp.studies.oneill2024.synthetic import above
from autointerp.studies.paper import Finding, Setting
from synthetic_studies.study import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["difference_of", "entry_mean", "macro_f1_rows", "measure_figure7"]

METRIC = "macro_f1"
PUBLISHED = {"SAE": "0.639 (median 0.662)", "MLP": "0.686 (median 0.697)"}
PUBLISHED_GAP = "+0.047 [+0.003, +0.092], read as comparable"
N_WINDOWS = 5


def measure_figure7(setting: Setting[OneillOptions]) -> Finding:
    sae, mlp = encoder_pair(setting)
    run = setting.run()
    rows = macro_f1_rows(run)
    coin, always = (line(N_WINDOWS, N_WINDOWS) for line in (coin_macro_f1, always_yes_macro_f1))
    names = [entry.name for entry in setting.config.dictionaries]
    means = {name: entry_mean(rows, name, seed=setting.config.seed) for name in names}
    claims = [
        above(
            f"features of the {title} are told better than by a coin ({coin:.3f}; always yes {always:.3f})",
            PUBLISHED[title],
            means[name],
            bound=coin,
            why=f"macro-F1, {_about(rows, name)}",
        )
        for title, name in (("SAE", sae), ("MLP", mlp))
    ]
    fixed = [entry.name for entry in setting.config.dictionaries if entry.kind in FIXED_KINDS]
    claims += [_ahead(run, title, name, other) for other in fixed for title, name in (("SAE", sae), ("MLP", mlp))]
    compared = difference_of(run, mlp, sae)
    claims += [_more(rows, mlp, sae, compared), _more_at_one_rate(mlp, compared)]
    table = [_entry_row(rows, name, means[name], coin=coin, always=always) for name in names]
    note = (
        "The paper's task: five firing and five silent windows, each with one marked token; silent ones are the top "
        "windows of one other feature. Macro-F1 is the mean of the F1 of `fires` and of `silent`, as in the paper's "
        "notebook. Intervals of several trainings hold the one over trainings as well as the one over features. What "
        "could not be scored is missing, not 0."
    )
    figure = _draw(rows, names, means, coin=coin, always=always)
    return Finding(claims, {"figure7": table, "figure7-features": rows}, {"figure7": figure}, [note])


def macro_f1_rows(run: Run) -> list[Row]:
    """A row per scored feature: entry, dictionary (one a training), feature, firing rate, macro-F1."""
    kept = [row for row in iter_rows(run.scores) if row["scorer"] == "marked" and row[METRIC] is not None]
    if not kept:
        raise ConfigError("score: no feature has a macro-F1; use score.preset = 'oneill2024', and more evidence")
    return [
        {
            "entry": entry_of(row["dictionary"]),
            "dictionary": row["dictionary"],
            "feature": row["feature"],
            "density": row["density"],
            METRIC: row[METRIC],
        }
        for row in kept
    ]


def entry_mean(rows: Sequence[Row], entry: str, *, seed: int) -> Interval | None:
    """Mean macro-F1 over features of all trainings; its interval holds that over trainings where there are several."""
    by_training = list(_by_training(rows, entry).values())
    values = [value for each in by_training for value in each]
    mean = mean_interval(values, rng=stream(seed, "figure7", entry), bounds=(0.0, 1.0))
    if mean is None or len(by_training) == 1:
        return mean
    return widen(mean, [SeedMean(float(np.mean(each)), len(each)) for each in by_training], bounds=(0.0, 1.0))


def difference_of(run: Run, first: str, second: str) -> Comparison | None:
    """First less second, or second less first, in macro-F1, as `autointerp compare` has it: its `first` says which.

    None where one has no scores.
    """
    found = compare_within(run.scores, metric=METRIC, seed=run.config.seed)
    pair = {first, second}
    return next((each for each in found if each.scorer == "marked" and {each.first, each.second} == pair), None)


def _ahead(run: Run, title: str, name: str, other: str) -> Claim:
    compared = difference_of(run, name, other)
    gap = None if compared is None else _turned(gap_of(compared.difference), compared.first == name)
    claim = f"under this metric features of the {title} are ahead of {other}"
    return Claim(claim, "no such line", render_interval(gap, "+.3f"), verdict_of(gap, above=0.0), "macro-F1; ours")


def _more(rows: Sequence[Row], mlp: str, sae: str, compared: Comparison | None) -> Claim:
    gap = None if compared is None else _turned(gap_of(compared.difference), compared.first == mlp)
    told = "; ".join(
        ", ".join(f"{np.mean(each):.3f}" for each in _by_training(rows, name).values()) for name in (mlp, sae)
    )
    return Claim(
        "the MLP encoder's features are more interpretable than the SAE's",
        PUBLISHED_GAP,
        f"macro-F1, MLP less SAE: {render_interval(gap, '+.3f')}",
        verdict_of(gap, above=0.0),
        f"trained on the same tokens; means of the trainings, MLP then SAE: {told}",
    )


def _more_at_one_rate(mlp: str, compared: Comparison | None) -> Claim:
    claim, theirs = "the same among features that fire equally often", "not measured"
    equal = None if compared is None else compared.equal_density
    if compared is None or equal is None or equal.matched is None:
        pairs = 0 if equal is None else equal.n_pairs
        return Claim(claim, theirs, "-", "not measured", f"{pairs} pairs within a rate of {CALIPER:g}; too few")
    is_right = compared.first == mlp
    matched = _turned(gap_of(equal.matched), is_right)
    medians = equal.medians or ()
    rates = " and ".join(f"{each:.2%}" for each in (medians if is_right else reversed(medians)))
    return Claim(
        claim,
        theirs,
        f"macro-F1, MLP less SAE: {render_interval(matched, '+.3f')}",
        verdict_of(matched, above=0.0),
        f"{equal.n_pairs} of {equal.n_possible} pairs matched by firing rate; median rates {rates}",
    )


def _turned(gap: Interval | None, is_right: bool) -> Interval | None:
    return gap if gap is None or is_right else Interval(-gap.mean, -gap.hi, -gap.lo, gap.n)


def _about(rows: Sequence[Row], entry: str) -> str:
    by_training = _by_training(rows, entry)
    values = [value for each in by_training.values() for value in each]
    median = f"median {np.median(values):.3f}, " if values else ""
    return f"{median}trainings: {len(by_training)}"


def _by_training(rows: Sequence[Row], entry: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["entry"] == entry:
            found.setdefault(row["dictionary"], []).append(row[METRIC])
    return found


def _entry_row(rows: Sequence[Row], entry: str, mean: Interval | None, *, coin: float, always: float) -> Row:
    values = [row[METRIC] for row in rows if row["entry"] == entry]
    quartiles = np.quantile(values, [0.25, 0.5, 0.75]).tolist() if values else [None] * 3
    return {
        "entry": entry,
        "n": len(values),
        "mean": mean and mean.mean,
        "lo": mean and mean.lo,
        "hi": mean and mean.hi,
        **dict(zip(("q25", "median", "q75"), quartiles, strict=True)),
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "coin": coin,
        "always_yes": always,
    }


def _draw(
    rows: Sequence[Row], names: Sequence[str], means: Mapping[str, Interval | None], *, coin: float, always: float
) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    figure, axes = new_figure(1, len(names), width=2.6, height=2.8, sharey=True)
    for place, (panel, name) in enumerate(zip(axes[0], names, strict=True)):
        values = [row[METRIC] for row in rows if row["entry"] == name]
        weights = [1 / len(values)] * len(values)
        panel.hist(values, bins=np.linspace(0, 1, 16).tolist(), weights=weights, color=COLOURS[place % len(COLOURS)])
        mean = means[name]
        if mean is not None:
            panel.axvline(mean.mean, color="#000000", label=f"mean {mean.mean:.3f}")
        panel.axvline(coin, color="#000000", linestyle=":", label=f"coin {coin:.3f}")
        panel.axvline(always, color="#000000", linestyle="--", label=f"always yes {always:.3f}")
        panel.set(title=name, xlabel="macro-F1", xlim=(0, 1))
        panel.legend(fontsize=6.5)
    axes[0, 0].set_ylabel("share of features")
    return figure
