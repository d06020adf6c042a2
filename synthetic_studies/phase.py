"""Study `phase`: exact support recovery by OMP over the number of measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sae_core.inference.orthogonal_matching_pursuit import orthogonal_matching_pursuit
from sae_core.mcc import Matching
from sae_core.support import support_recovery
from sae_core.synthetic import SyntheticConfig, draw_problem
from synthetic_studies.comparison import describe
from synthetic_studies.figure_style import colour, marker, new_figure
from synthetic_studies.study import Cell, OnFraction, Row, Study, StudySettings, Table, select

__all__ = ["STUDY", "PhaseSettings"]


@dataclass(frozen=True, kw_only=True)
class PhaseSettings(StudySettings):
    n_samples: int = 2048
    n_features_values: tuple[int, ...] = (64, 256, 1024)
    k_values: tuple[int, ...] = (3, 6, 12)
    ratios: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
    """Measurements M as multiples of K ln(N/K)."""


class Phase(Study):
    """The phase curve."""

    name = "phase"
    title = "Where exact recovery begins"
    question = """
Orthogonal matching pursuit with the TRUE dictionary, no noise, the true K given: the share of samples whose set of
active sources is found exactly, over the number of measurements M in units of K ln(N/K), for several N and K. What no
dictionary learner can pass. Codes are |normal|, the pursuit takes either sign, so it is the classical setting of
Tropp and Gilbert (2007).
"""
    full = PhaseSettings()
    quick = PhaseSettings(n_seeds=2, n_samples=512, n_features_values=(64, 256), k_values=(3, 6))

    def cells(self, settings: PhaseSettings) -> list[Cell]:
        return [
            Cell(f"N={n_features}, K={k}", {"n_features": n_features, "k": k}, n_features * k / 200)
            for n_features in settings.n_features_values
            for k in settings.k_values
        ]

    def run(self, cell: Cell, settings: PhaseSettings, on_fraction: OnFraction) -> list[Row]:
        """One row per ratio and dictionary, in float64."""
        n_features, k = cell.arguments["n_features"], cell.arguments["k"]
        everything = torch.arange(n_features)
        same = Matching(1.0, 1.0, everything, everything, torch.ones(n_features, dtype=torch.float64))
        rows: list[Row] = []
        for place, ratio in enumerate(settings.ratios):
            d_in = math.ceil(ratio * k * math.log(n_features / k))
            config = SyntheticConfig(n_features=n_features, d_in=d_in, k=k, n_train=1, n_test=settings.n_samples)
            for seed in range(settings.n_seeds):
                problem = draw_problem(config, seed=seed)
                directions = problem.dictionary.double()
                exact = problem.test_codes.double() @ directions
                codes = orthogonal_matching_pursuit(exact, directions, n_active=k).to_dense(n_features)
                recovery = support_recovery(problem.test_codes.double(), codes, same)
                scores = {"exact": recovery.exact_frac, "precision": recovery.precision, "recall": recovery.recall}
                rows.append({**cell.arguments, "ratio": ratio, "d_in": d_in, "seed": seed, **scores})
            on_fraction((place + 1) / len(settings.ratios))
        return rows

    def tables(self, rows: Sequence[Row], settings: PhaseSettings) -> list[Table]:
        lines = []
        for n_features in settings.n_features_values:
            for k in settings.k_values:
                texts = []
                for ratio in (1.0, 2.0, 4.0):
                    chosen = select(rows, n_features=n_features, k=k, ratio=ratio)
                    if chosen:
                        spread = describe([row["exact"] for row in chosen])
                        texts.append(f"{spread.mean:.1%} ± {spread.sd:.1%} (M={chosen[0]['d_in']})")
                    else:
                        texts.append("-")
                lines.append((str(n_features), str(k), *texts))
        heads = ("N", "K", "M = K ln(N/K)", "M = 2 K ln(N/K)", "M = 4 K ln(N/K)")
        return [Table("Share of samples with the exact support", heads, tuple(lines))]

    def notes(self, rows: Sequence[Row], settings: PhaseSettings) -> list[str]:
        far = [row["exact"] for row in rows if row["ratio"] >= 4]
        half = _cell_means(rows, 2.0)
        least = min(_cell_means(rows, 4.0) or [0.0])
        word = "as it must be" if least >= 0.98 else "which is too low"
        inside = sum(0.87 <= rate <= 0.97 for rate in half)
        return [
            f"At M >= 4 K ln(N/K) the support is exact in {sum(far) / len(far):.2%} of samples (least cell "
            f"{least:.2%}), {word} (98% or more).",
            f"At half of that the cells lie between {min(half):.1%} and {max(half):.1%}, {inside} of {len(half)} "
            "between 87% and 97%: the line K ln(N/K) is not the whole story, larger N recovers at smaller multiples "
            "of it.",
        ]

    def figure(self, rows: Sequence[Row], settings: PhaseSettings) -> Any:
        figure, axes = new_figure(1, len(settings.k_values), width=3.6, height=3.4, sharey=True)
        for place, k in enumerate(settings.k_values):
            panel = axes[0, place]
            for index, n_features in enumerate(settings.n_features_values):
                spreads = [
                    describe([row["exact"] for row in select(rows, n_features=n_features, k=k, ratio=ratio)])
                    for ratio in settings.ratios
                ]
                panel.errorbar(
                    settings.ratios,
                    [spread.mean for spread in spreads],
                    yerr=[spread.half_width for spread in spreads],
                    color=colour(index),
                    marker=marker(index),
                    elinewidth=0.8,
                    label=f"N = {n_features}",
                )
            panel.axhline(0.98, color="#777777", linestyle=":", linewidth=1)
            panel.axvline(4, color="#777777", linestyle=":", linewidth=1)
            panel.axvline(2, color="#777777", linestyle=":", linewidth=1)
            panel.fill_between([1.9, 2.1], 0.87, 0.97, color="#777777", alpha=0.35, linewidth=0)
            panel.set(title=f"K = {k}", xlabel="M / (K ln(N/K))", ylim=(0, 1.03))
        axes[0, 0].set_ylabel("share with the exact support")
        axes[0, -1].legend(loc="lower right")
        return figure


def _cell_means(rows: Sequence[Row], ratio: float) -> list[float]:
    chosen = select(rows, ratio=ratio)
    keys = sorted({(row["n_features"], row["k"]) for row in chosen})
    return [describe([row["exact"] for row in select(chosen, n_features=n, k=k)]).mean for n, k in keys]


STUDY = Phase()
