"""Study `widths`: the hidden width of the MLP encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autointerp.studies.synthetic.amortised import EncoderConfig
from autointerp.studies.synthetic.comparison import Comparison, describe
from autointerp.studies.synthetic.figure_style import colour, new_figure
from autointerp.studies.synthetic.problems import PUBLISHED_SEED, draw_problems
from autointerp.studies.synthetic.recording import train_and_score
from autointerp.studies.synthetic.study import Cell, OnFraction, Row, Study, StudySettings, Table, select

__all__ = ["STUDY", "WidthsSettings"]

PUBLISHED_RUNS = {
    16: (0.552, 0.624, 0.585),
    32: (0.551, 0.596, 0.633),
    64: (0.599, 0.600, 0.616),
    128: (0.606, 0.701, 0.598),
    256: (0.729, 0.725, 0.666),
    512: (0.769, 0.444, 0.626),
}
"""Latent MCC of the three published runs; the values quoted as the ablation's (.552 to .769) are the first of each."""


@dataclass(frozen=True, kw_only=True)
class WidthsSettings(StudySettings):
    """Settings of the study."""

    n_seeds: int = 3
    n_steps: int = 50_000
    learning_rate: float = 1e-4
    l1_weight: float = 0.01
    widest_hidden: int = 512


class Widths(Study):
    """MLP widths."""

    name = "widths"
    title = "How wide should the MLP encoder be?"
    question = """
MLP encoders of hidden width 16 to 512 with everything unknown (N=16, M=8, K=3), at the paper's settings for this
ablation: Adam at 1e-4, 50,000 steps, three runs on one published problem.
"""
    full = WidthsSettings()
    quick = WidthsSettings(n_seeds=2, n_steps=1_500, widest_hidden=128)

    def cells(self, settings: WidthsSettings) -> list[Cell]:
        """One per width."""
        widths = [hidden for hidden in PUBLISHED_RUNS if hidden <= settings.widest_hidden]
        return [Cell(f"h={hidden}", {"hidden": hidden}, 1 + hidden / 32) for hidden in widths]

    def run(self, cell: Cell, settings: WidthsSettings, on_fraction: OnFraction) -> list[Row]:
        """One row per seed, at the end."""
        problems = draw_problems(
            "published", n_problems=settings.n_seeds, n_samples=settings.n_samples, seed=PUBLISHED_SEED["unknown"]
        )
        hidden = cell.arguments["hidden"]
        return train_and_score(
            EncoderConfig(d_in=8, n_features=16, hidden=hidden),
            problems,
            scenario="unknown",
            n_steps=settings.n_steps,
            record_at=(settings.n_steps,),
            on_fraction=on_fraction,
            labels={"hidden": hidden},
            learning_rate=settings.learning_rate,
            l1_weights=settings.l1_weight,
            is_gradient_projected=False,
        )[0]

    def comparisons(self, rows: Sequence[Row], settings: WidthsSettings) -> list[Comparison]:
        """Means of the three runs, ours and theirs."""
        found = []
        for hidden, runs in PUBLISHED_RUNS.items():
            values = [row["latent_mcc"] for row in select(rows, hidden=hidden)]
            if values:
                theirs = describe(runs)
                found.append(Comparison(f"h={hidden}, latent MCC", theirs.mean, describe(values), theirs.sd))
        return found

    def tables(self, rows: Sequence[Row], settings: WidthsSettings) -> list[Table]:
        """All scores by width."""
        lines = []
        for hidden in PUBLISHED_RUNS:
            chosen = select(rows, hidden=hidden)
            if chosen:
                columns = ("latent_mcc", "dictionary_mcc", "mse", "l0")
                texts = [describe([row[column] for row in chosen]) for column in columns]
                line = (str(texts[0]), str(texts[1]), f"{texts[2].mean:.2e}", f"{texts[3].mean:.1f}")
                lines.append((str(hidden), *line))
        heads = ("hidden width", "latent MCC", "dictionary MCC", "mse", "active codes")
        return [Table("Scores by width", heads, tuple(lines))]

    def notes(self, rows: Sequence[Row], settings: WidthsSettings) -> list[str]:
        """What the published numbers are."""
        return [
            "The published ablation is often quoted by its first run of three (.552 .551 .599 .606 .729 .769), which "
            "rises with the width; the mean of its three runs does not at the end (h=512: .769, .444, .626). The "
            "comparison here is of the means of three runs.",
        ]

    def figure(self, rows: Sequence[Row], settings: WidthsSettings) -> Any:
        """Scores over width with the published runs as dots."""
        figure, axes = new_figure(1, 1, width=5.6)
        panel = axes[0, 0]
        widths = [hidden for hidden in PUBLISHED_RUNS if select(rows, hidden=hidden)]
        for index, (column, label) in enumerate((("latent_mcc", "latent MCC"), ("dictionary_mcc", "dictionary MCC"))):
            spreads = [describe([row[column] for row in select(rows, hidden=hidden)]) for hidden in widths]
            panel.errorbar(
                widths,
                [spread.mean for spread in spreads],
                yerr=[spread.half_width for spread in spreads],
                color=colour(index),
                marker="os"[index],
                capsize=3,
                label=f"{label}, ours (95% interval)",
            )
        for hidden in widths:
            label = "latent MCC, published runs" if hidden == widths[0] else None
            runs = PUBLISHED_RUNS[hidden]
            panel.plot([hidden] * len(runs), runs, "x", color="#000000", markersize=6, label=label, zorder=3)
        panel.set_xscale("log", base=2)
        panel.set_xticks(widths, [str(hidden) for hidden in widths])
        panel.set(
            xlabel="hidden width", ylabel="score (held out)", ylim=(0, 1), title="MLP encoder, everything unknown"
        )
        panel.legend(loc="lower right")
        return figure


STUDY = Widths()
