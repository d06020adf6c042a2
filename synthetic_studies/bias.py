"""Study `bias`: encoder and decoder with and without biases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synthetic_studies.amortised import EncoderConfig
from synthetic_studies.comparison import Comparison, Spread, describe
from synthetic_studies.figure_style import colour, new_figure
from synthetic_studies.problems import PUBLISHED_SEED, draw_problems
from synthetic_studies.recording import train_and_score
from synthetic_studies.study import Cell, OnFraction, Row, Study, StudySettings, Table, select

__all__ = ["STUDY", "BiasSettings"]

HIDDEN = {"SAE": None, "MLP h=64": 64}
LEARNING_RATE = {"SAE": 1e-3, "MLP h=64": 1e-4}
PUBLISHED = {
    ("SAE", True): (0.563, 0.029),
    ("SAE", False): (0.567, 0.028),
    ("MLP h=64", True): (0.529, 0.019),
    ("MLP h=64", False): (0.608, 0.020),
}


@dataclass(frozen=True, kw_only=True)
class BiasSettings(StudySettings):
    n_seeds: int = 3
    n_steps: int = 20_000
    l1_weight: float = 0.01


class Bias(Study):
    """Encoders with and without biases."""

    name = "bias"
    title = "Do biases matter?"
    question = """
SAE (Adam at 1e-3) and MLP encoder (h=64, Adam at 1e-4) with everything unknown (N=16, M=8, K=3), with all biases
trained and with none. The data have mean above 0 but no offset, so a bias has nothing to explain. Published: three
runs of 100,000 steps on one problem.
"""
    full = BiasSettings()
    quick = BiasSettings(n_seeds=2, n_steps=2_000)

    def cells(self, settings: BiasSettings) -> list[Cell]:
        return [
            Cell(
                f"{method}, {'biases' if has_bias else 'no biases'}, {problems}",
                {"method": method, "has_bias": has_bias, "problems": problems},
                3.0 if HIDDEN[method] else 1.0,
            )
            for method in HIDDEN
            for problems in ("published", "fresh")
            for has_bias in (True, False)
        ]

    def run(self, cell: Cell, settings: BiasSettings, on_fraction: OnFraction) -> list[Row]:
        """One row per seed."""
        labels = cell.arguments
        problems = draw_problems(
            labels["problems"],
            n_problems=settings.n_seeds,
            n_samples=settings.n_samples,
            seed=PUBLISHED_SEED["unknown"],
        )
        return train_and_score(
            EncoderConfig(d_in=8, n_features=16, hidden=HIDDEN[labels["method"]], has_bias=labels["has_bias"]),
            problems,
            scenario="unknown",
            n_steps=settings.n_steps,
            record_at=(settings.n_steps,),
            on_fraction=on_fraction,
            labels=labels,
            learning_rate=LEARNING_RATE[labels["method"]],
            l1_weights=settings.l1_weight,
            is_gradient_projected=labels["problems"] == "fresh",
        )[0]

    def comparisons(self, rows: Sequence[Row], settings: BiasSettings) -> list[Comparison]:
        return [
            Comparison(
                f"{method}, {_words(has_bias)}, latent MCC", mean, _spread(rows, method, has_bias, "published"), sd
            )
            for (method, has_bias), (mean, sd) in PUBLISHED.items()
        ]

    def tables(self, rows: Sequence[Row], settings: BiasSettings) -> list[Table]:
        """With against without, paired by seed where problems are fresh."""
        lines = []
        for method in HIDDEN:
            for problems in ("published", "fresh"):
                cells = [
                    select(rows, method=method, problems=problems, has_bias=has_bias) for has_bias in (True, False)
                ]
                pairs = zip(*cells, strict=True)
                difference = describe([a["latent_mcc"] - b["latent_mcc"] for a, b in pairs])
                spreads = [str(describe([row["latent_mcc"] for row in cell])) for cell in cells]
                interval = f"{difference.mean:+.3f} ± {difference.half_width:.3f}"
                lines.append((method, problems, *spreads, interval))
        heads = ("encoder", "data", "with biases", "without", "difference, 95% interval (paired by seed)")
        return [Table("Latent MCC with and without biases", heads, tuple(lines))]

    def notes(self, rows: Sequence[Row], settings: BiasSettings) -> list[str]:
        return [
            "Read the last column of the table: an interval that holds 0 shows no effect at this number of seeds. "
            "`published`: the published draw and optimiser; `fresh`: new problems with the library's optimiser.",
        ]

    def figure(self, rows: Sequence[Row], settings: BiasSettings) -> Any:
        """Bars by encoder and data, dots for seeds, dashes for published values."""
        figure, axes = new_figure(1, 2, sharey=True)
        for place, problems in enumerate(("published", "fresh")):
            panel = axes[0, place]
            for x, method in enumerate(HIDDEN):
                for side, has_bias in enumerate((True, False)):
                    spread = _spread(rows, method, has_bias, problems)
                    at = x + (side - 0.5) * 0.36
                    label = _words(has_bias) if x == 0 else None
                    panel.bar(at, spread.mean, 0.32, color=colour(side), alpha=0.75, label=label)
                    panel.errorbar(at, spread.mean, yerr=spread.half_width, color="#000000", capsize=3, linewidth=1.2)
                    chosen = select(rows, method=method, problems=problems, has_bias=has_bias)
                    panel.plot(
                        [at] * len(chosen), [row["latent_mcc"] for row in chosen], ".", color="#000000", alpha=0.6
                    )
                    if place == 0:
                        mean = PUBLISHED[method, has_bias][0]
                        label = "published" if (x, side) == (1, 1) else None
                        panel.hlines(mean, at - 0.16, at + 0.16, color="#000000", linestyle="--", label=label)
            title = "Published draw and optimiser" if place == 0 else "Fresh draws, the library's optimiser"
            panel.set_xticks(range(len(HIDDEN)), HIDDEN)
            panel.set(title=title, ylim=(0, 1))
            panel.grid(axis="x", visible=False)
        axes[0, 0].set_ylabel("latent MCC (held out)")
        axes[0, 0].legend(loc="upper left", ncols=3)
        return figure


def _words(has_bias: bool) -> str:
    return "biases" if has_bias else "no biases"


def _spread(rows: Sequence[Row], method: str, has_bias: bool, problems: str) -> Spread:
    return describe([row["latent_mcc"] for row in select(rows, method=method, has_bias=has_bias, problems=problems)])


STUDY = Bias()
