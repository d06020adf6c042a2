"""Interpretability by depth and method under the paper's protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autointerp.board.score_table import iter_rows
from autointerp.run import Run
from autointerp.seeds import stream
from autointerp.stats.intervals import Interval, mean_interval, two_sample_difference
from autointerp.studies.claim import Claim, gap_of, render_interval, verdict_of
from autointerp.studies.cunningham2023.options import CunninghamOptions, main_entry, points, rivals, with_entries
from autointerp.studies.paper import Finding, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["feature_scores", "measure_layers"]

COLUMNS = {"top and random": "correlation", "top": "correlation_top", "random": "correlation_random"}


def measure_layers(setting: Setting[CunninghamOptions]) -> Finding:
    main = main_entry(setting).name
    names = [entry.name for entry in setting.config.dictionaries]
    rows, claims, means = [], [], {}
    for point in points(setting):
        config = with_entries(setting.config, list(setting.config.dictionaries), point=point)
        run = setting.run(f"at-{point}", config=config)
        values = {name: feature_scores(run, name) for name in names}
        for name in names:
            for fragments, found in values[name].items():
                rng = stream(setting.config.seed, "layers", str(point), name, fragments)
                mean = means[str(point), name, fragments] = mean_interval(found, rng=rng, bounds=(-1.0, 1.0))
                rows.append(_row(point=str(point), dictionary=name, fragments=fragments, mean=mean))
        claims += [_compared(setting, str(point), main, other, values) for other in rivals(setting.config)]
    note = (
        "Correlation of simulated and true activations over 5 top and 5 random fragments that hold a firing, Bills "
        "et al.'s protocol as the paper used it (`score.preset = cunningham2023`); a simulation that never varies "
        "counts as 0. Every dense dictionary fires as often as the SAE's features do, which theirs did not."
    )
    figure = _draw(means, [str(point) for point in points(setting)], names)
    return Finding(claims, {"layers": rows}, {"layers": figure}, [note])


def feature_scores(run: Run, dictionary: str) -> dict[str, list[float]]:
    """Correlations of each scored feature, by the fragments they are over."""
    rows = [row for row in iter_rows(run.scores) if row["dictionary"] == dictionary]
    return {name: [row[column] for row in rows if row[column] is not None] for name, column in COLUMNS.items()}


def _compared(
    setting: Setting[CunninghamOptions],
    point: str,
    main: str,
    other: str,
    values: Mapping[str, Mapping[str, Sequence[float]]],
) -> Claim:
    first, second = (values[name]["top and random"] for name in (main, other))
    rng = stream(setting.config.seed, "layers", point, main, other)
    gap = gap_of(two_sample_difference(first, second, rng=rng, bounds=(-2.0, 2.0)))
    return Claim(
        f"{point}: features of the SAE are more interpretable than {other.replace('_', ' ')}",
        "above, most in early layers",
        f"difference {render_interval(gap)}",
        verdict_of(gap, above=0.0),
        f"judge {setting.config.score.judge}, {len(first)} and {len(second)} features",
    )


def _row(*, point: str, dictionary: str, fragments: str, mean: Interval | None) -> dict[str, Any]:
    figures = {"mean": None, "lo": None, "hi": None, "n": 0} if mean is None else {
        "mean": round(mean.mean, 4), "lo": round(mean.lo, 4), "hi": round(mean.hi, 4), "n": mean.n
    }  # fmt: skip
    return {"point": point, "dictionary": dictionary, "fragments": fragments, **figures}


def _draw(means: Mapping[tuple[str, str, str], Interval | None], places: Sequence[str], names: Sequence[str]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, MARKERS, new_figure

    figure, axes = new_figure(1, len(COLUMNS), width=4.0, height=3.6, sharey=True)
    for panel, fragments in zip(axes[0], COLUMNS, strict=True):
        for series, name in enumerate(names):
            found = [(x, means[place, name, fragments]) for x, place in enumerate(places)]
            kept = [(x + 0.05 * (series - len(names) / 2), mean) for x, mean in found if mean is not None]
            panel.errorbar(
                [x for x, _ in kept],
                [mean.mean for _, mean in kept],
                yerr=[[mean.mean - mean.lo for _, mean in kept], [mean.hi - mean.mean for _, mean in kept]],
                color=COLOURS[series % len(COLOURS)],
                marker=MARKERS[series % len(MARKERS)],
                label=name,
                linewidth=1.2,
            )
        panel.set(title=f"{fragments} fragments", xlabel="place")
        panel.set_xticks(range(len(places)), places, rotation=20)
    axes[0, 0].set(ylabel="mean correlation")
    axes[0, -1].legend(fontsize=7)
    return figure
