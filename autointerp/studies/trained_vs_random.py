"""Study `trained-vs-random`: which headline numbers tell features of a trained model from those of a random twin?

After Heap, Lawson, Farnik and Aitchison 2025 (arXiv 2501.17727). The pipeline runs on subject and twins
(`subject.twins`); each number's AUROC is 0.5 if it cannot tell them apart. Finished runs are not repeated.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from autointerp import pipeline
from autointerp.board.score_table import iter_rows
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.progress import Progress
from autointerp.run import Run
from autointerp.runs.layout import write_atomically, write_text
from autointerp.seeds import stream
from autointerp.stats.metrics import auroc
from autointerp.subject.twins import Weights
from autointerp.tables import markdown_table

__all__ = ["HEADLINES", "Separation", "compare_with_twins", "run_study", "write_study"]

# Headline numbers and their columns.
HEADLINES = {
    "context predictability": "context",
    "shuffled control of it": "context_shuffled",
    "token look-up F1": "lookup_f1",
    "F1": "f1",
    "balanced accuracy": "balanced_accuracy",
    "excess": "excess",
    "beyond token": "beyond_token",
    "near miss": "near_miss",
}

TWINS: tuple[Weights, ...] = ("permuted", "permuted_but_embeddings", "initial")
_N_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Separation:
    """How well a number tells trained features from a twin's."""

    layer: int
    dictionary: str
    twin: str
    number: str
    auroc: float | None  # None without values on a side
    lo: float | None  # of the 95% interval, percentile bootstrap over features
    hi: float | None
    trained_mean: float | None
    twin_mean: float | None
    trained_frac: float  # share of features with a value
    twin_frac: float


def run_study(
    config: Config, *, layers: Sequence[int], twins: Sequence[str], out: Path, progress: Progress
) -> list[Separation]:
    """Run the pipeline on subject and twins at every layer, below `out`/runs, and compare.

    A dictionary with a layer of its own keeps it. Raises ConfigError for an unknown twin, and the pipeline's errors.
    """
    unknown = sorted(set(twins) - set(get_args(Weights)) | {t for t in twins if t == "trained"})
    if unknown:
        kinds = ", ".join(name for name in get_args(Weights) if name != "trained")
        raise ConfigError(f"--twins {unknown[0]}: no such twin; use some of {kinds}")
    separations = []
    for layer in layers:
        runs = {}
        for weights in ("trained", *twins):
            subject = config.subject.model_copy(update={"layer": layer, "weights": weights})
            name = f"layer-{layer}-{weights}"
            cell = config.model_copy(update={"subject": subject, "name": name})
            progress.say(f"{name}: begins")
            runs[weights] = Run(pipeline.run(cell, out=out / "runs" / name, progress=progress).root)
        names = [entry.name for entry in config.every_dictionary]
        for name in names:
            values = {weights: feature_values(run, name) for weights, run in runs.items()}
            for twin in twins:
                sides = values["trained"], values[twin]
                separations += compare_with_twins(*sides, layer=layer, dictionary=name, twin=twin, seed=config.seed)
    return separations


def feature_values(run: Run, dictionary: str) -> dict[str, list[float | None]]:
    """Headline numbers of each sampled feature, None if undefined."""
    evidence = run.evidence(dictionary)
    values: dict[str, list[float | None]] = {
        "context": [None if e.context is None else e.context.auroc for e in evidence],
        "context_shuffled": [None if e.context is None else e.context.shuffled_auroc for e in evidence],
    }
    rows = [row for row in iter_rows(run.scores) if row["dictionary"] == dictionary]
    for column in HEADLINES.values():
        if column not in values:
            values[column] = [row[column] for row in rows]
    return values


def compare_with_twins(
    trained: Mapping[str, Sequence[float | None]],
    twin_values: Mapping[str, Sequence[float | None]],
    *,
    layer: int,
    dictionary: str,
    twin: str,
    seed: int,
) -> list[Separation]:
    separations = []
    for number, column in HEADLINES.items():
        sides = [[v for v in side[column] if v is not None] for side in (trained, twin_values)]
        lo, hi = _interval(*sides, rng=stream(seed, "twins", layer, dictionary, twin, number))
        separations.append(
            Separation(
                layer=layer,
                dictionary=dictionary,
                twin=twin,
                number=number,
                auroc=_auroc(*sides),
                lo=lo,
                hi=hi,
                trained_mean=_mean(sides[0]),
                twin_mean=_mean(sides[1]),
                trained_frac=len(sides[0]) / max(1, len(trained[column])),
                twin_frac=len(sides[1]) / max(1, len(twin_values[column])),
            )
        )
    return separations


def write_study(found: Sequence[Separation], *, out: Path, command: str, about: str) -> None:
    """Write `trained-vs-random.md`, `.csv` and `.png` below `out`."""
    rows = [{name: getattr(each, name) for name in Separation.__slots__} for each in found]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(Separation.__slots__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "trained-vs-random.csv", text.getvalue())
    write_text(out / "trained-vs-random.md", _document(found, command=command, about=about))
    write_atomically(out / "trained-vs-random.png", lambda path: _draw(found, path))


def _document(found: Sequence[Separation], *, command: str, about: str) -> str:
    lines = [
        "# Trained against random",
        "",
        "Which numbers tell a feature of the trained model from one of a twin that learnt nothing? Each figure is the",
        "AUROC with its 95% interval (bootstrap over features), trained mean against twin mean in brackets. 0.5: it",
        "cannot tell them; below: the twin's features score HIGHER.",
        "",
        about,
        "",
        f"Made by `{command}`; every row is in `trained-vs-random.csv`.",
        "",
        "![AUROC by layer](trained-vs-random.png)",
    ]
    for twin in dict.fromkeys(each.twin for each in found):
        for dictionary in dict.fromkeys(each.dictionary for each in found):
            mine = [each for each in found if (each.twin, each.dictionary) == (twin, dictionary)]
            layers = list(dict.fromkeys(each.layer for each in mine))
            lines += ["", f"## {dictionary}, against {twin.replace('_', ' ')} weights", ""]
            heads = ["number", *(f"layer {layer}" for layer in layers)]
            at = {(each.layer, each.number): each for each in mine}
            rows = [[number, *(_cell(at[layer, number]) for layer in layers)] for number in HEADLINES]
            lines += markdown_table(heads, rows, rule="|---|" + "---|" * len(layers))
    return "\n".join(lines) + "\n"


def _cell(each: Separation) -> str:
    if each.auroc is None:
        return f"- (defined for {each.trained_frac:.0%} and {each.twin_frac:.0%})"
    share = "" if min(each.trained_frac, each.twin_frac) > 0.995 else f"; {each.trained_frac:.0%}, {each.twin_frac:.0%}"
    return (
        f"{each.auroc:.3f} [{each.lo:.3f}, {each.hi:.3f}] ({each.trained_mean:.3f} against {each.twin_mean:.3f}{share})"
    )


def _draw(found: Sequence[Separation], path: Path) -> None:
    from synthetic_studies.figure_style import COLOURS, MARKERS, new_figure, save_figure, style

    panels = list(dict.fromkeys((each.dictionary, each.twin) for each in found))
    n_columns = min(3, len(panels))
    with style():
        figure, axes = new_figure(math.ceil(len(panels) / n_columns), n_columns, width=4.2, height=3.4)
        for place, (dictionary, twin) in enumerate(panels):
            panel: Any = axes[place // n_columns, place % n_columns]
            for series, number in enumerate(HEADLINES):
                shown = [e for e in found if (e.dictionary, e.twin, e.number) == (dictionary, twin, number)]
                points = [(each.layer, each.auroc) for each in shown if each.auroc is not None]
                if points:
                    panel.plot(*zip(*points, strict=True), color=COLOURS[series], marker=MARKERS[series], label=number)
            panel.axhline(0.5, color="#7A7A7A", linewidth=0.8, linestyle=":")
            panel.set(title=f"{dictionary}: {twin.replace('_', ' ')}", xlabel="layer", ylabel="AUROC", ylim=(0.0, 1.03))
            panel.set_xticks(sorted({each.layer for each in found}))
        axes[0, 0].legend(fontsize=7)
        save_figure(figure, path)


def _auroc(trained: Sequence[float], twin: Sequence[float]) -> float | None:
    return auroc([True] * len(trained) + [False] * len(twin), [*trained, *twin])


def _interval(
    trained: Sequence[float], twin: Sequence[float], *, rng: np.random.Generator
) -> tuple[float | None, float | None]:
    if min(len(trained), len(twin)) < 2:
        return None, None
    a, b = np.asarray(trained), np.asarray(twin)
    draws = []
    for _ in range(_N_RESAMPLES):
        left, right = rng.choice(a, len(a)), np.sort(rng.choice(b, len(b)))
        below = np.searchsorted(right, left, side="left") + np.searchsorted(right, left, side="right")
        draws.append(below.mean() / 2 / len(b))
    lo, hi = np.quantile(draws, [0.025, 0.975])
    return float(lo), float(hi)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
