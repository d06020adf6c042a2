"""Study `amortisation-gap`: the theorem as numbers, how much one linear-nonlinear layer misses as N / M grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.inference.orthogonal_matching_pursuit import orthogonal_matching_pursuit
from sae_core.inference.proximal import fista
from sae_core.synthetic import SyntheticProblem
from synthetic_studies.amortised import EncoderConfig, EncoderStack, Initialisation, train_stack
from synthetic_studies.comparison import describe
from synthetic_studies.exact_gap import best_rectified_line, missed_share, plane_of, two_layer_code
from synthetic_studies.figure_style import COLOURS, MARKERS, new_figure
from synthetic_studies.problems import draw_problems
from synthetic_studies.scoring import code_scores, lasso_weight
from synthetic_studies.study import Cell, OnFraction, Row, Study, StudySettings, Table, select

__all__ = ["LAYER", "MLP", "OMP", "STUDY", "AmortisationGapSettings", "interference", "missed_shares"]

LAYER, MLP, LASSO, OMP = "linear-nonlinear, best", "MLP h=64", "lasso's optimum", "OMP with K"
METHODS = (LAYER, MLP, LASSO, OMP)
HIDDEN = 64
EXACT = "exact"


@dataclass(frozen=True, kw_only=True)
class AmortisationGapSettings(StudySettings):
    n_samples: int = 2048
    d_in: int = 16
    k: int = 2
    n_features_values: tuple[int, ...] = (16, 24, 32, 48, 64, 96, 128)
    n_steps: int = 10_000
    n_starts: int = 3
    """Of the linear-nonlinear encoder, besides one along the dictionary; every feature takes its best by training."""
    learning_rate: float = 3e-3
    l1_weight: float = 0.01


class AmortisationGap(Study):
    """Encoders told the codes, against inference that knows the dictionary."""

    name = "amortisation-gap"
    title = "The amortisation gap of a linear-nonlinear encoder"
    question = """
The paper's theorem: with K >= 2 active of N sources in M < N measurements, recoverable by sparse inference, no encoder
ReLU(W x + b) recovers all codes. The reason is rank: codes of active sources would need W D^T = I_N, but its rank is at
most M, and so the pre-activations of a linear encoder mix into each code, on average over features, at least a share
1 - M/N of other sources (Eckart and Young 1936), however it was found. Here encoders are trained on the TRUE codes, one
linear-nonlinear layer from several starts, each feature keeping its best, so that neither a decoder nor a sparsity
penalty is in the way; beside them the lasso's optimum and OMP with the true dictionary. The share missed is 1 - cos^2
of found and true code over held-out samples, the least squared error under any scale. The small cases are computed,
not trained: three directions at 120 degrees in the plane.
"""
    full = AmortisationGapSettings()
    quick = AmortisationGapSettings(n_seeds=3, n_features_values=(16, 32, 64), n_steps=1_500, n_starts=1)

    def cells(self, settings: AmortisationGapSettings) -> list[Cell]:
        sweep = [Cell(f"N={n}", {"n_features": n}, n / 16) for n in settings.n_features_values]
        return [Cell(EXACT, {"n_features": 3}), *sweep]

    def run(self, cell: Cell, settings: AmortisationGapSettings, on_fraction: OnFraction) -> list[Row]:
        """One row per seed and method."""
        if cell.key == EXACT:
            return _exact_rows()
        n_features, d_in, k = cell.arguments["n_features"], settings.d_in, settings.k
        problems = draw_problems(
            "fresh",
            n_problems=settings.n_seeds,
            n_samples=settings.n_samples,
            n_features=n_features,
            d_in=d_in,
            k=k,
        )
        layer, mixed = _best_layer(problems, settings, on_fraction)
        rows = _rows(problems, layer, method=LAYER, interference=mixed)
        rows += _rows(problems, _mlp_codes(problems, settings), method=MLP)
        weight = lasso_weight(settings.l1_weight, n_features=n_features, d_in=d_in)
        lasso = fista(problems.test_x, problems.dictionary, l1_weight=weight, n_steps=500)
        rows += _rows(problems, lasso, method=LASSO)
        pursued = [
            orthogonal_matching_pursuit(x, directions, n_active=k, is_non_negative=True).to_dense(n_features)
            for x, directions in zip(problems.test_x, problems.dictionary, strict=True)
        ]
        rows += _rows(problems, torch.stack(pursued), method=OMP)
        return [{"n_features": n_features, "d_in": d_in, "k": k, "floor": 1 - d_in / n_features, **row} for row in rows]

    def tables(self, rows: Sequence[Row], settings: AmortisationGapSettings) -> list[Table]:
        lines = []
        for n in settings.n_features_values:
            mixed = describe([row["interference"] for row in select(rows, n_features=n, method=LAYER)])
            shares = [str(describe(_missed(rows, n, method))) for method in METHODS]
            lines.append((str(n), f"{max(0.0, 1 - settings.d_in / n):.3f}", f"{mixed.mean:.3f}", *shares))
        heads = ("N", "floor 1 - M/N of mixing", "mixing measured", *METHODS)
        exact = tuple(
            (row["case"], row["method"], f"{row['missed']:.4f}") for row in rows if row.get("case") is not None
        )
        return [
            Table(f"Share of the codes missed, M={settings.d_in}, K={settings.k}", heads, tuple(lines)),
            Table("Computed", ("case", "encoder", "share missed"), exact),
        ]

    def notes(self, rows: Sequence[Row], settings: AmortisationGapSettings) -> list[str]:
        widest = max(settings.n_features_values)
        means = {method: describe(_missed(rows, widest, method)) for method in METHODS}
        return [
            f"At N={widest}, M={settings.d_in}: " + ", ".join(f"{name} {each}" for name, each in means.items()) + ".",
        ]

    def figure(self, rows: Sequence[Row], settings: AmortisationGapSettings) -> Any:
        figure, axes = new_figure(1, 2)
        ratios = [n / settings.d_in for n in settings.n_features_values]
        for place, method in enumerate(METHODS):
            spreads = [describe(_missed(rows, n, method)) for n in settings.n_features_values]
            axes[0, 0].errorbar(
                ratios,
                [spread.mean for spread in spreads],
                yerr=[spread.half_width for spread in spreads],
                color=COLOURS[place],
                marker=MARKERS[place],
                elinewidth=0.8,
                label=method,
            )
        mixed = [
            describe([row["interference"] for row in select(rows, n_features=n, method=LAYER)])
            for n in settings.n_features_values
        ]
        axes[0, 1].plot(ratios, [each.mean for each in mixed], "o-", color=COLOURS[0], label="measured")
        axes[0, 1].plot(ratios, [max(0.0, 1 - 1 / each) for each in ratios], "--", color="#000000", label="1 - M/N")
        axes[0, 0].set(xlabel="N / M", ylabel="share of the codes missed (held out)", ylim=(0, 1))
        axes[0, 1].set(xlabel="N / M", ylabel="share of other sources in a pre-activation", ylim=(0, 1))
        for panel in axes[0]:
            panel.legend()
        return figure


def missed_shares(
    true: Float[Tensor, "problem batch n_features"], found: Float[Tensor, "problem batch n_features"]
) -> Float[Tensor, "problem n_features"]:
    """1 - cos^2 over samples; 1 for a silent code, not-a-number for a source that never fires."""
    product = (true * found).sum(dim=1).square()
    size = true.square().sum(dim=1)
    scale = size * found.square().sum(dim=1)
    share = 1 - torch.where(scale > 0, product / scale.clamp_min(1e-30), torch.zeros_like(scale))
    return torch.where(size > 0, share, torch.nan)


def interference(
    encoder: Float[Tensor, "*problem n_features d_in"], directions: Float[Tensor, "*problem n_features d_in"]
) -> Float[Tensor, "*problem n_features"]:
    """Of each pre-activation, the share of the squared response that is to other sources than its own.

    Its mean over features is at least 1 - d_in / n_features: scaled best, the rows of the response have squared
    distances of these shares from those of the identity, and no matrix of rank d_in is nearer to it.
    """
    response = encoder @ directions.mT
    own = torch.diagonal(response, dim1=-2, dim2=-1).square()
    return 1 - own / response.square().sum(dim=-1).clamp_min(1e-30)


def _best_layer(
    problems: SyntheticProblem, settings: AmortisationGapSettings, on_fraction: OnFraction
) -> tuple[Tensor, Tensor]:
    """(held-out codes, interference [problem, n_features]) of each feature's best start by training."""
    n_problems, n_features, d_in = problems.dictionary.shape
    starts: list[tuple[Initialisation, int]] = [("uniform", start) for start in range(settings.n_starts)]
    starts.append(("decoder", 0))
    losses, codes, mixed = [], [], []
    for place, (initialisation, start) in enumerate(starts):
        config = EncoderConfig(d_in=d_in, n_features=n_features, has_bias=True, initialisation=initialisation)
        seeds = [start * n_problems + problem for problem in range(n_problems)]
        stack = EncoderStack(config, seeds=seeds, directions=problems.dictionary)
        _train_on_codes(stack, problems, settings)
        losses.append(missed_shares(problems.train_codes, stack.encode(problems.train_x)).nan_to_num())
        codes.append(stack.encode(problems.test_x))
        mixed.append(interference(stack.parameters["W_enc"], problems.dictionary))
        on_fraction((place + 1) / (len(starts) + 2))
    best = torch.stack(losses).argmin(dim=0)
    chosen = torch.stack(codes).gather(0, best[None, :, None].expand(1, *codes[0].shape))[0]
    return chosen, torch.stack(mixed).gather(0, best[None])[0]


def _mlp_codes(problems: SyntheticProblem, settings: AmortisationGapSettings) -> Tensor:
    n_problems, n_features, d_in = problems.dictionary.shape
    config = EncoderConfig(d_in=d_in, n_features=n_features, hidden=HIDDEN, has_bias=True)
    stack = EncoderStack(config, seeds=range(n_problems))
    _train_on_codes(stack, problems, settings)
    return stack.encode(problems.test_x)


def _train_on_codes(stack: EncoderStack, problems: SyntheticProblem, settings: AmortisationGapSettings) -> None:
    train_stack(
        stack,
        problems.train_x,
        scenario="codes",
        codes=problems.train_codes,
        n_steps=settings.n_steps,
        learning_rate=settings.learning_rate,
    )


def _rows(problems: SyntheticProblem, found: Tensor, *, method: str, interference: Tensor | None = None) -> list[Row]:
    shares = missed_shares(problems.test_codes, found).nanmean(dim=1).tolist()
    scores = code_scores(problems.test_codes, found)
    mixed = [None] * len(shares) if interference is None else interference.mean(dim=1).tolist()
    return [
        {"method": method, "seed": seed, "missed": a, "latent_mcc": b, "interference": c}
        for seed, (a, b, c) in enumerate(zip(shares, scores, mixed, strict=True))
    ]


def _exact_rows() -> list[Row]:
    rows: list[Row] = []
    for n_features, k, case in (
        (3, 1, "three directions, K=1"),
        (3, 2, "three directions, K=2"),
    ):
        plane = plane_of(n_features, k=k)
        least, _ = best_rectified_line(plane)
        pursued = orthogonal_matching_pursuit(
            torch.from_numpy(plane.x), torch.from_numpy(plane.directions), n_active=k, is_non_negative=True
        ).to_dense(n_features)
        found = {
            LAYER: least,
            "MLP of four hidden units": missed_share(plane, two_layer_code(plane.x)),
            OMP: missed_share(plane, pursued[:, 0].numpy()),
        }
        sizes = {"case": case, "n_features": n_features, "d_in": 2, "k": k}
        rows += [{**sizes, "method": method, "missed": share} for method, share in found.items()]
    return rows


def _missed(rows: Sequence[Row], n_features: int, method: str) -> list[float]:
    return [row["missed"] for row in select(rows, n_features=n_features, method=method)]


STUDY = AmortisationGap()
