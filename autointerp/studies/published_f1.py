"""The published F1 of O'Neill et al. 2024 (arXiv 2411.13117) with intervals, trivial lines and needed sample sizes.

The table `encoder,row,f1` has 200 features each of an SAE and an MLP encoder on GPT-2 small, layer 9. Values are
macro-F1; those that no small table gives are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autointerp.errors import ArtefactError, ConfigError, InputError
from autointerp.runs.layout import write_atomically
from autointerp.seeds import stream
from autointerp.stats.baselines import always_yes_macro_f1, coin_macro_f1
from autointerp.stats.confusion import Table
from autointerp.stats.intervals import Difference, Interval, mean_interval, two_sample_difference
from autointerp.stats.metrics import f1, macro_f1
from autointerp.stats.significance import (
    Equivalence,
    features_needed,
    find_equivalence,
    smallest_difference,
    two_sample_permutation_p,
)

__all__ = ["DEFAULT_PATH", "NAME", "PublishedF1", "count_attainable", "draw", "read_table", "reanalyse", "render"]

NAME = "published-f1"
DEFAULT_PATH = Path("../shared/data/reference/oneill2024_gpt2_l9_f1.csv")
_COLUMNS = ("encoder", "row", "f1")
_N_WINDOWS = 5
_ROUNDING = 2e-6  # the table has six decimals
MARGIN = 0.05
_UNDATED: dict[str, Any] = {"svg": {"Date": None}, "png": {"Software": None}}


@dataclass(frozen=True, slots=True)
class Attainable:
    """How many values of an encoder tables of up to 5 + 5 windows give, by metric."""

    n: int
    macro_f1: int
    f1: int


@dataclass(frozen=True, slots=True)
class PublishedF1:
    """Figures of two encoders."""

    names: tuple[str, str]
    values: tuple[Sequence[float], Sequence[float]]
    means: tuple[Interval, Interval]
    medians: tuple[float, float]
    deviations: tuple[float, float]
    attainable: tuple[Attainable, Attainable]
    difference: Difference  # second minus first
    p_value: float  # by permutation
    always_yes: float  # macro-F1 at 5 + 5 windows, like `coin`
    coin: float
    smallest: float  # difference that these features show with power 0.8
    n_needed: int  # features per side that show the observed difference with power 0.8
    equivalence: Equivalence
    n_equivalent: int  # features per side that show equality within `equivalence.margin`

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "values"}


def read_table(path: Path) -> dict[str, list[float]]:
    """F1 per feature by encoder. Raises InputError for a missing file, ArtefactError for another content."""
    if not path.is_file():
        raise InputError(
            f"{path} does not exist; it is published with arXiv 2411.13117 and not part of this repository: give the "
            "csv (columns encoder, row, f1) by --path FILE"
        )
    try:
        table = pd.read_csv(path)
        values = {str(name): [float(x) for x in rows["f1"]] for name, rows in table.groupby("encoder")}
    except (ValueError, KeyError, TypeError) as error:
        wanted = ", ".join(_COLUMNS)
        raise ArtefactError(f"{path} is not a table of {wanted} ({error}); give another by --path") from None
    bad = [name for name, sample in values.items() if len(sample) < 2 or not all(0 <= x <= 1 for x in sample)]
    if len(values) != 2 or bad:
        raise ArtefactError(
            f"{path} has {len(values)} encoders ({', '.join(values) or 'none'}), or F1 outside [0, 1]; the study "
            "compares two, of at least two features each"
        )
    return values


def count_attainable(values: Sequence[float], *, n_windows: int = _N_WINDOWS) -> Attainable:
    """How many values are the macro-F1 (or F1) of some table of 1 to `n_windows` windows of each label."""
    sizes = range(1, n_windows + 1)
    tables = [
        Table(hits, alarms, n_positive - hits, n_negative - alarms)
        for n_positive, n_negative in product(sizes, sizes)
        for hits, alarms in product(range(n_positive + 1), range(n_negative + 1))
    ]
    counts = []
    for metric in (macro_f1, f1):
        possible = np.array(sorted({metric(table) or 0.0 for table in tables}))
        counts.append(sum(bool(np.abs(possible - value).min() <= _ROUNDING) for value in values))
    return Attainable(len(values), *counts)


def reanalyse(values: dict[str, list[float]], *, seed: int = 0) -> PublishedF1:
    """The figures; `sae` comes first, so the difference is the other's gain."""
    first, second = sorted(values, key=lambda name: (name != "sae", name))
    a, b = values[first], values[second]
    means = [
        mean_interval(values[name], rng=stream(seed, "bootstrap", NAME, name), bounds=(0.0, 1.0))
        for name in (first, second)
    ]
    difference = two_sample_difference(b, a, rng=stream(seed, "bootstrap", NAME))
    p_value = two_sample_permutation_p(b, a, rng=stream(seed, "permutation", NAME))
    equivalence = find_equivalence(b, a, margin=MARGIN, is_paired=False)
    if difference is None or p_value is None or equivalence is None or None in means:
        raise ArtefactError("the F1 of an encoder do not vary; there is nothing to test")
    deviations = (float(np.std(a, ddof=1)), float(np.std(b, ddof=1)))
    spread = float(np.sqrt((deviations[0] ** 2 + deviations[1] ** 2) / 2))
    return PublishedF1(
        names=(first, second),
        values=(a, b),
        means=(means[0], means[1]),  # type: ignore[arg-type]
        medians=(float(np.median(a)), float(np.median(b))),
        deviations=deviations,
        attainable=(count_attainable(a), count_attainable(b)),
        difference=difference,
        p_value=p_value,
        always_yes=always_yes_macro_f1(_N_WINDOWS, _N_WINDOWS),
        coin=coin_macro_f1(_N_WINDOWS, _N_WINDOWS),
        smallest=smallest_difference(len(a), deviation=spread, n_other=len(b)),
        n_needed=features_needed(abs(difference.mean), deviation=spread),
        equivalence=equivalence,
        # two one-sided tests of level 0.05 that must both succeed: power 0.8 takes 0.9 of each (Chow et al. 2008)
        n_equivalent=features_needed(MARGIN, deviation=spread, level=0.10, power=0.9),
    )


def render(found: PublishedF1) -> str:
    d, e = found.difference, found.equivalence
    verdicts = {
        "equivalent": "equivalence is shown",
        "different": "they are shown to differ by more",
        "undecided": "neither equivalence nor a larger difference is shown",
    }
    lines = [
        *(_mean_line(found, place) for place in (0, 1)),
        f"difference {found.names[1].upper()} - {found.names[0].upper()}: {d.mean:+.3f} [{d.lo:+.3f}, {d.hi:+.3f}], "
        f"effect {d.effect_size or 0:+.2f}, permutation p {found.p_value:.3f}",
        f"The values are macro-F1. Its lines at 5 firing + 5 silent windows: always yes and always no "
        f"{found.always_yes:.3f}, a coin {found.coin:.3f}. " + _against_line(found),
        *(_attainable_line(found, place) for place in (0, 1)),
        f"'comparable' within {e.margin:g}: {verdicts[e.verdict]} (90% interval [{e.lo:+.3f}, {e.hi:+.3f}], two "
        f"one-sided tests p {e.p_value:.2f})",
        f"{d.n_first} + {d.n_second} features show a difference of {found.smallest:.3f} (8 times in 10). "
        f"To show one of {abs(d.mean):.3f} takes {found.n_needed:,} features each; to show equality within "
        f"{e.margin:g}, were they equal, {found.n_equivalent:,} each.",
        "Intervals are 95% over features, expanded bootstrap: BCa for means, percentile for the difference.",
    ]
    return "\n".join(lines)


def draw(found: PublishedF1, path: Path) -> None:
    """Figure 7 of the paper with trivial lines, as .svg or .png (needs matplotlib). Raises ConfigError for another
    ending."""
    form = path.suffix[1:].lower()
    if form not in {"svg", "png"}:
        raise ConfigError(f"--figure {path}: the ending says the format; use .svg or .png")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    rows = figure.subplots(2, 1, sharex=True, sharey=True)
    for place, (axes, name) in enumerate(zip(rows, found.names, strict=True)):
        axes.hist(found.values[place], bins=np.linspace(0, 1, 21).tolist(), color="#8fb3d9", edgecolor="white")
        axes.axvline(found.means[place].mean, color="black", label=f"mean {found.means[place].mean:.3f}")
        axes.axvline(found.always_yes, color="#b04a3a", linestyle="--", label=f"always yes {found.always_yes:.3f}")
        axes.axvline(found.coin, color="#777777", linestyle=":", label=f"coin {found.coin:.3f}")
        axes.set_ylabel(f"{name.upper()}, features")
        axes.legend(loc="upper left", frameon=False, fontsize="small")
    rows[-1].set_xlabel("macro-F1 per feature, as published (O'Neill et al. 2024, Figure 7)")
    with rc_context({"svg.hashsalt": NAME}):
        write_atomically(path, lambda temporary: figure.savefig(temporary, format=form, metadata=_UNDATED[form]))


def _mean_line(found: PublishedF1, place: int) -> str:
    mean = found.means[place]
    return (
        f"{found.names[place].upper()} {mean.mean:.3f} [{mean.lo:.3f}, {mean.hi:.3f}], median "
        f"{found.medians[place]:.3f}, deviation {found.deviations[place]:.3f}, n {mean.n}"
    )


def _attainable_line(found: PublishedF1, place: int) -> str:
    seen = found.attainable[place]
    return (
        f"{found.names[place].upper()}: {seen.macro_f1} of {seen.n} values are the macro-F1 of some table of up to "
        f"{_N_WINDOWS} + {_N_WINDOWS} windows ({seen.f1} the F1 of 'fires'); what the other "
        f"{seen.n - seen.macro_f1} are is not documented."
    )


def _against_line(found: PublishedF1) -> str:
    above = [name.upper() for name, mean in zip(found.names, found.means, strict=True) if mean.lo > found.coin]
    return f"Above both lines: the interval of {' and of '.join(above)}." if above else "No interval lies above both."
