"""Study `pareto`: sparsity against error and recovery over an L1 sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sae_core.inference.proximal import fista
from sae_core.sparse_coding.restarts import RestartConfig, fit_with_restarts
from sae_core.synthetic import SyntheticProblem
from synthetic_studies.amortised import EncoderConfig
from synthetic_studies.comparison import Comparison, describe
from synthetic_studies.figure_style import colour, marker, new_figure
from synthetic_studies.problems import draw_problems
from synthetic_studies.recording import score_rows, train_and_score
from synthetic_studies.scoring import lasso_weight
from synthetic_studies.sparse_coder import log_code_sparse_coding
from synthetic_studies.study import Cell, OnFraction, Row, Study, StudySettings, Table, select

__all__ = ["STUDY", "ParetoSettings"]

PROJECTED = "SAE, projected"
HIDDEN: dict[str, int | None] = {"SAE": None, PROJECTED: None, "MLP h=32": 32}
LOG_CODES, OURS = "SC (log-codes)", "SC (ours)"
METHODS = ("SAE", PROJECTED, "MLP h=32", LOG_CODES, OURS)
PUBLISHED = {
    "SAE": {0.001: 0.538, 0.005: 0.619, 0.01: 0.595, 0.05: 0.597, 0.1: 0.617, 0.5: 0.593, 1.0: 0.559, 2.0: 0.414},
    "MLP h=32": {0.001: 0.550, 0.005: 0.599, 0.01: 0.607, 0.05: 0.606, 0.1: 0.615, 0.5: 0.701, 1.0: 0.680, 2.0: 0.491},
    LOG_CODES: {0.001: 0.739, 0.005: 0.736, 0.01: 0.730, 0.05: 0.751, 0.1: 0.728, 0.5: 0.836, 1.0: 0.722, 2.0: 0.651},
}
"""Latent MCC by L1 weight: means of three published runs (100,000 steps at 3e-3, a problem per run)."""


@dataclass(frozen=True, kw_only=True)
class ParetoSettings(StudySettings):
    n_seeds: int = 3
    n_steps: int = 100_000
    n_inference_steps: int = 10_000
    n_chains: int = 8
    """Starts per problem of our sparse coding."""
    learning_rate: float = 3e-3
    l1_weights: tuple[float, ...] = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0)


class Pareto(Study):
    """The sweep."""

    name = "pareto"
    title = "Sparsity against error and recovery"
    question = """
The L1 weight swept over four decades with everything unknown (N=16, M=8, K=3; three problems, Adam at 3e-3): what
each method pays in mean squared error for its sparsity (L0: codes above 1e-4 per sample; L1: their sum), and what it
recovers. Encoders and decoders are updated as published, `SAE, projected` as the library does (a direction's gradient
along itself taken off). Our sparse coding learns its dictionary once per problem; the weight is then that of inference.
"""
    full = ParetoSettings()
    quick = ParetoSettings(n_seeds=1, n_steps=1_500, n_inference_steps=1_000, l1_weights=(0.01, 0.1, 0.5, 1.0))

    def cells(self, settings: ParetoSettings) -> list[Cell]:
        """Encoders take all weights at once, log-codes one at a time."""
        cells = [Cell(method, {"method": method}, 4.0) for method in (OURS, *HIDDEN)]
        return cells + [
            Cell(f"{LOG_CODES}, l1={weight:g}", {"method": LOG_CODES, "l1_weight": weight}, 3.0)
            for weight in settings.l1_weights
        ]

    def run(self, cell: Cell, settings: ParetoSettings, on_fraction: OnFraction) -> list[Row]:
        """One row per seed and weight."""
        method = cell.arguments["method"]
        problems = draw_problems("fresh", n_problems=settings.n_seeds, n_samples=settings.n_samples)
        if method in HIDDEN:
            return _encoders(method, problems, settings, on_fraction)
        if method == LOG_CODES:
            return log_code_sparse_coding(
                problems,
                n_steps=settings.n_steps,
                n_inference_steps=settings.n_inference_steps,
                l1_weight=cell.arguments["l1_weight"],
                learning_rate=settings.learning_rate,
                labels=cell.arguments,
                on_fraction=on_fraction,
            )
        fit = fit_with_restarts(problems.train_x, RestartConfig(n_features=16, n_chains=settings.n_chains), seed=0)
        rows: list[Row] = []
        for weight in settings.l1_weights:
            lasso = lasso_weight(weight, n_features=16, d_in=8)
            codes = fista(problems.test_x, fit.directions, l1_weight=lasso, n_steps=1_000)
            rows += score_rows(problems, codes, fit.directions, method=method, l1_weight=weight)
        return rows

    def comparisons(self, rows: Sequence[Row], settings: ParetoSettings) -> list[Comparison]:
        comparisons = []
        for method, values in PUBLISHED.items():
            for weight, mean in values.items():
                chosen = select(rows, method=method, l1_weight=weight)
                if chosen:
                    ours = describe([row["latent_mcc"] for row in chosen])
                    comparisons.append(Comparison(f"{method}, L1 weight {weight:g}, latent MCC", mean, ours))
        return comparisons

    def tables(self, rows: Sequence[Row], settings: ParetoSettings) -> list[Table]:
        """Each method's best weight."""
        lines = []
        for method in METHODS:
            by_weight = {weight: select(rows, method=method, l1_weight=weight) for weight in settings.l1_weights}
            spreads = {
                weight: describe([row["latent_mcc"] for row in chosen])
                for weight, chosen in by_weight.items()
                if chosen
            }
            best = max(spreads, key=lambda weight: spreads[weight].mean)
            l0, mse = (describe([row[column] for row in by_weight[best]]).mean for column in ("l0", "mse"))
            lines.append((method, f"{best:g}", str(spreads[best]), f"{l0:.1f}", f"{mse:.1e}"))
        heads = ("method", "best L1 weight", "latent MCC there", "active codes", "mse")
        return [Table("Each method at its best weight", heads, tuple(lines), "The truth has 3 active codes and mse 0.")]

    def notes(self, rows: Sequence[Row], settings: ParetoSettings) -> list[str]:
        heavy = max(settings.l1_weights)
        as_published, projected = (
            describe([row["latent_mcc"] for row in select(rows, method=method, l1_weight=heavy)])
            for method in ("SAE", PROJECTED)
        )
        return [
            "The published runs draw a problem per run; no spread is published for them, so a verdict here rests on "
            "ours alone. With three problems per weight single cells differ by about 0.05.",
            "Taking a direction's gradient along itself off matters where the penalty is heavy: at weight "
            f"{heavy:g} the SAE reaches {projected} with it and {as_published} without. What was published as the "
            "price of sparsity is in part the optimiser's.",
        ]

    def figure(self, rows: Sequence[Row], settings: ParetoSettings) -> Any:
        figure, axes = new_figure(2, 2, height=3.3)
        panels = (
            (axes[0, 0], "l0", "mse", "active codes per sample (L0)", "mean squared error"),
            (axes[0, 1], "l1", "mse", "sum of codes per sample (L1)", "mean squared error"),
            (axes[1, 0], "l0", "latent_mcc", "active codes per sample (L0)", "latent MCC (held out)"),
            (axes[1, 1], "l1_weight", "latent_mcc", "L1 weight", "latent MCC (held out)"),
        )
        for panel, x, y, x_label, y_label in panels:
            for method in METHODS:
                chosen = [select(rows, method=method, l1_weight=weight) for weight in settings.l1_weights]
                spreads = [[describe([row[each] for row in cell]) for each in (x, y)] for cell in chosen if cell]
                panel.errorbar(
                    [a.mean for a, _ in spreads],
                    [b.mean for _, b in spreads],
                    yerr=None if y == "mse" else [b.half_width for _, b in spreads],
                    color=colour(method),
                    marker=marker(method),
                    elinewidth=0.8,
                    label=method,
                )
            if y == "mse":
                panel.set_yscale("log")
            else:
                panel.set_ylim(0, 1.02)
            if x == "l0":
                panel.axvline(3, color="#777777", linestyle=":", linewidth=1)
            panel.set(xlabel=x_label, ylabel=y_label)
        axes[1, 1].set_xscale("log")
        axes[1, 1].legend(loc="lower left", fontsize=8)
        axes[0, 0].set_title("Error for sparsity")
        axes[1, 0].set_title("Recovery (dotted: true L0)")
        return figure


def _encoders(method: str, problems: SyntheticProblem, settings: ParetoSettings, on_fraction: OnFraction) -> list[Row]:
    """All weights in one stack, problem after problem within each weight."""
    n_weights = len(settings.l1_weights)
    stacked = SyntheticProblem(*(torch.cat([part] * n_weights) for part in problems))
    rows, _ = train_and_score(
        EncoderConfig(d_in=8, n_features=16, hidden=HIDDEN[method]),
        stacked,
        scenario="unknown",
        n_steps=settings.n_steps,
        record_at=(settings.n_steps,),
        on_fraction=on_fraction,
        labels={"method": method},
        learning_rate=settings.learning_rate,
        l1_weights=[weight for weight in settings.l1_weights for _ in range(settings.n_seeds)],
        is_gradient_projected=method == PROJECTED,
        seeds=list(range(settings.n_seeds)) * n_weights,
    )
    for place, row in enumerate(rows):
        row["seed"], row["l1_weight"] = place % settings.n_seeds, settings.l1_weights[place // settings.n_seeds]
    return rows


STUDY = Pareto()
