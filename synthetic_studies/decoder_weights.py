"""Study `decoder-weights`: what decoders look like with too few, enough and too many features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from sae_core.mcc import dictionary_cosine
from sae_core.sparse_coding.restarts import RestartConfig, fit_with_restarts
from synthetic_studies.amortised import EncoderConfig, EncoderStack, train_stack
from synthetic_studies.comparison import describe
from synthetic_studies.figure_style import new_figure
from synthetic_studies.problems import draw_problems
from synthetic_studies.study import Cell, OnFraction, Row, Study, StudySettings, Table, select

__all__ = ["STUDY", "DecoderWeightsSettings"]

SAE, MLP, OURS, TRUTH = "SAE", "MLP h=32", "SC (ours)", "truth"
FREE_SAE, FREE_MLP = "SAE, free norms", "MLP h=32, free norms"
METHODS = (SAE, FREE_SAE, MLP, FREE_MLP, OURS)
HIDDEN: dict[str, int | None] = {SAE: None, FREE_SAE: None, MLP: 32, FREE_MLP: 32}
FREE_L1_WEIGHT = 0.1
LEARNING_RATE = {FREE_SAE: 1e-2}
"""As in the published notebook, but for its MLP (h=256, 1e-4)."""
N_TRUE = 16
VANISHED = 0.01
"""A feature has vanished whose direction's norm is below this share of the largest."""


@dataclass(frozen=True, kw_only=True)
class DecoderWeightsSettings(StudySettings):
    n_seeds: int = 3
    n_steps: int = 20_000
    d_in: int = 16
    n_chains: int = 8
    """Starts per problem of our sparse coding."""
    n_features_values: tuple[int, ...] = (8, 16, 32)


class DecoderWeights(Study):
    """Gram matrices of decoders."""

    name = "decoder-weights"
    title = "Decoders with too few, enough and too many features"
    question = """
N=16 sources, K=3, seen through M=16 measurements, learnt with 8, 16 and 32 features: the cosines between the
decoder's directions (D D^T, as in the paper's appendix C), features ordered as the true sources they match. Twins (two
features of cosine near 1) and mixtures show what the number of features does. The appendix's own figures are of
decoders whose norms are free (`norm_D=False` in its notebook, at L1 weight 0.1): there a feature of no use can vanish.
"""
    full = DecoderWeightsSettings()
    quick = DecoderWeightsSettings(n_seeds=1, n_steps=2_000)

    def cells(self, settings: DecoderWeightsSettings) -> list[Cell]:
        truth = [Cell(TRUTH, {"method": TRUTH, "n_features": N_TRUE}, 0.1)]
        return truth + [
            Cell(
                f"{method}, {n_features} features",
                {"method": method, "n_features": n_features},
                3.0 if HIDDEN.get(method) else 1.0,
            )
            for method in (OURS, SAE, FREE_SAE, MLP, FREE_MLP)
            for n_features in settings.n_features_values
        ]

    def run(self, cell: Cell, settings: DecoderWeightsSettings, on_fraction: OnFraction) -> list[Row]:
        """One row of summaries per seed, and seed 0's matrix entry by entry."""
        problems = draw_problems(
            "fresh", n_problems=settings.n_seeds, n_samples=settings.n_samples, n_features=N_TRUE, d_in=settings.d_in
        )
        method, n_features = cell.arguments["method"], cell.arguments["n_features"]
        if method == TRUTH:
            directions = problems.dictionary
        elif method == OURS:
            directions = fit_with_restarts(
                problems.train_x, RestartConfig(n_features=n_features, n_chains=settings.n_chains), seed=0
            ).directions
        else:
            config = EncoderConfig(d_in=settings.d_in, n_features=n_features, hidden=HIDDEN[method])
            stack = EncoderStack(config, seeds=range(settings.n_seeds))
            is_free = method in (FREE_SAE, FREE_MLP)
            train_stack(
                stack,
                problems.train_x,
                scenario="unknown",
                n_steps=settings.n_steps,
                learning_rate=LEARNING_RATE.get(method, 1e-3),
                l1_weights=FREE_L1_WEIGHT if is_free else 0.01,
                has_unit_norms=not is_free,
                on_step=lambda step: on_fraction(step / settings.n_steps),
            )
            directions = stack.directions
        rows: list[Row] = []
        for seed in range(settings.n_seeds):
            rows += _describe(problems.dictionary[seed], directions[seed], {**cell.arguments, "seed": seed})
        return rows

    def tables(self, rows: Sequence[Row], settings: DecoderWeightsSettings) -> list[Table]:
        lines = []
        for method, n_features in _panels(settings):
            chosen = [row for row in select(rows, method=method, n_features=n_features) if "n_recovered" in row]
            if not chosen:
                continue
            columns = ("n_recovered", "n_vanished", "n_twins", "largest_cosine", "mean_cosine")
            texts = [str(describe([row[column] for row in chosen])) for column in columns]
            lines.append((method, str(n_features), *texts))
        heads = (
            "method",
            "features",
            "true sources recovered (cosine > 0.95), of 16",
            "features vanished",
            "twins (pairs of cosine > 0.95)",
            "largest cosine between features",
            "mean |cosine| between features",
        )
        return [Table("What the decoders hold", heads, tuple(lines))]

    def notes(self, rows: Sequence[Row], settings: DecoderWeightsSettings) -> list[str]:
        def mean(method: str, n_features: int, column: str) -> float:
            chosen = [row for row in select(rows, method=method, n_features=n_features) if column in row]
            return describe([row[column] for row in chosen]).mean

        few, many = min(settings.n_features_values), max(settings.n_features_values)
        return [
            f"With {many} features and free norms {mean(FREE_SAE, many, 'n_vanished'):.1f} features of the SAE and "
            f"{mean(FREE_MLP, many, 'n_vanished'):.1f} of the MLP vanish, with unit norms none can.",
            f"With {many} features the SAE has {mean(SAE, many, 'n_twins'):.1f} twins and recovers "
            f"{mean(SAE, many, 'n_recovered'):.1f} of 16 sources; our sparse coding {mean(OURS, many, 'n_twins'):.1f} "
            f"and {mean(OURS, many, 'n_recovered'):.1f}.",
            f"With {few} features fewer sources than features can be recovered cleanly: "
            f"{mean(SAE, few, 'n_recovered'):.1f} (SAE) and {mean(OURS, few, 'n_recovered'):.1f} (ours); the rest are "
            "mixtures.",
        ]

    def figure(self, rows: Sequence[Row], settings: DecoderWeightsSettings) -> Any:
        """A Gram matrix per method and size."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        sizes = settings.n_features_values
        figure, axes = new_figure(len(METHODS), len(sizes) + 1, width=3.0, height=2.9)
        for row, method in enumerate(METHODS):
            for column, n_features in enumerate(sizes):
                title = f"{method}, {n_features}"
                _draw_gram(axes[row, column], select(rows, method=method, n_features=n_features), n_features, title)
        _draw_gram(axes[0, -1], select(rows, method=TRUTH), N_TRUE, f"truth, {N_TRUE}")
        for panel in axes[1:, -1]:
            panel.set_visible(False)
        shown = ScalarMappable(Normalize(-1, 1), "PuOr_r")
        figure.colorbar(shown, ax=axes, label="product of directions, of the largest", shrink=0.4)
        return figure


def _panels(settings: DecoderWeightsSettings) -> list[tuple[str, int]]:
    learnt = [(method, n_features) for method in METHODS for n_features in settings.n_features_values]
    return [(TRUTH, N_TRUE), *learnt]


def _describe(true: Tensor, found: Tensor, labels: dict[str, Any]) -> list[Row]:
    """Summaries of one decoder; for seed 0 also its Gram matrix, features in the order of their sources.

    Cosines are those of the features that have not vanished.
    """
    norms = found.norm(dim=1)
    is_left = norms >= VANISHED * norms.max()
    gram = found @ found.T / norms.max() ** 2
    unit = functional.normalize(found, dim=1) * is_left[:, None]
    matching = dictionary_cosine(true, unit)
    cosines = unit @ unit.T
    off = cosines - torch.diag(cosines.diag())
    n_left = int(is_left.sum())
    rows: list[Row] = [
        {
            **labels,
            "n_recovered": int((matching.similarity > 0.95).sum()),
            "n_vanished": len(norms) - n_left,
            "n_twins": int((torch.triu(off) > 0.95).sum()),
            "largest_cosine": float(off.max()),
            "mean_cosine": float(off.abs().sum() / max(1, n_left * (n_left - 1))),
        }
    ]
    if labels["seed"] == 0:
        # Matched features in the order of their sources, each followed by the unmatched ones that point most its way.
        home = (unit @ true.T).argmax(dim=1)
        home[matching.found] = matching.planted
        is_extra = torch.ones(found.shape[0], dtype=torch.bool)
        is_extra[matching.found] = False
        order = sorted(range(found.shape[0]), key=lambda feature: (int(home[feature]), bool(is_extra[feature])))
        ordered = gram[order][:, order].tolist()
        rows += [
            {**labels, "row": i, "column": j, "gram": ordered[i][j]}
            for i in range(len(order))
            for j in range(len(order))
        ]
    return rows


def _draw_gram(panel: Any, rows: Sequence[Row], n_features: int, title: str) -> None:
    matrix = [[0.0] * n_features for _ in range(n_features)]
    for row in rows:
        if "gram" in row:
            matrix[row["row"]][row["column"]] = row["gram"]
    panel.imshow(matrix, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="nearest")
    panel.set_title(title)
    panel.grid(visible=False)
    panel.set_xticks([])
    panel.set_yticks([])


STUDY = DecoderWeights()
