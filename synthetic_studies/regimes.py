"""Study `regimes`: sources x measurements, against the compressed-sensing line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sae_core.published_flops import published_mlp_training_flops, published_sae_training_flops
from synthetic_studies.amortised import EncoderConfig
from synthetic_studies.comparison import Comparison, describe
from synthetic_studies.figure_style import colour, marker, new_figure
from synthetic_studies.problems import draw_problems
from synthetic_studies.recording import train_and_score
from synthetic_studies.sparse_coder import best_sparse_coding, log_code_sparse_coding
from synthetic_studies.study import Cell, OnFraction, Row, Study, StudySettings, Table, select

__all__ = ["STUDY", "RegimesSettings"]

HIDDEN: dict[str, int | None] = {"SAE": None, "MLP h=32": 32}
LOG_CODES, OURS = "SC (log-codes)", "SC (ours)"
METHODS = ("SAE", "MLP h=32", LOG_CODES, OURS)
PUBLISHED: dict[int, dict[str, dict[int, dict[int, float]]]] = {
    3: {
        "SAE": {
            8: {16: 0.638, 32: 0.392, 64: 0.256, 128: 0.213},
            16: {16: 0.958, 32: 0.577, 64: 0.374, 128: 0.286},
            32: {16: 1.0, 32: 0.999, 64: 0.547, 128: 0.420},
        },
        "MLP h=32": {
            8: {16: 0.593, 32: 0.451, 64: 0.284, 128: 0.246},
            16: {16: 0.870, 32: 0.533, 64: 0.388, 128: 0.271},
            32: {16: 0.918, 32: 0.909, 64: 0.409, 128: 0.316},
        },
        LOG_CODES: {
            8: {16: 0.733, 32: 0.514, 64: 0.422, 128: 0.328},
            16: {16: 0.974, 32: 0.928, 64: 0.661, 128: 0.471},
            32: {16: 0.941, 32: 0.946, 64: 0.918, 128: 0.869},
        },
    },
    9: {
        "SAE": {
            8: {16: 0.492, 32: 0.285, 64: 0.215, 128: 0.175},
            16: {16: 0.892, 32: 0.490, 64: 0.285, 128: 0.220},
            32: {16: 0.928, 32: 0.978, 64: 0.451, 128: 0.290},
        },
        "MLP h=32": {
            8: {16: 0.493, 32: 0.318, 64: 0.224, 128: 0.183},
            16: {16: 0.647, 32: 0.463, 64: 0.294, 128: 0.203},
            32: {16: 0.740, 32: 0.835, 64: 0.429, 128: 0.263},
        },
        LOG_CODES: {
            8: {16: 0.489, 32: 0.380, 64: 0.302, 128: 0.246},
            16: {16: 0.883, 32: 0.472, 64: 0.344, 128: 0.278},
            32: {16: 0.892, 32: 0.897, 64: 0.576, 128: 0.371},
        },
    },
}
"""Latent MCC by K, method, M and N."""


@dataclass(frozen=True, kw_only=True)
class RegimesSettings(StudySettings):
    n_seeds: int = 3
    n_steps: int = 50_000
    """Steps of the SAE; the MLP gets as many as cost the same FLOPs."""
    n_log_code_steps: int = 50_000
    """Steps of sparse coding on log-codes, at 3e-3."""
    n_inference_steps: int = 10_000
    n_chains: int = 4
    k_values: tuple[int, ...] = (3,)
    d_in_values: tuple[int, ...] = (8, 16, 32)
    n_features_values: tuple[int, ...] = (16, 32, 64, 128)
    l1_weight: float = 0.01


class Regimes(Study):
    """The grid."""

    name = "regimes"
    title = "Sources, measurements and sparsity"
    question = """
Everything unknown, N sources seen through M measurements with K active (arXiv 2411.13117, section 4.4). Compressed
sensing says that codes are recoverable, given the dictionary, once M is of the order of K ln(N/K); the line in the
figure is M = K ln(N/K), and what lies clearly above it should be recoverable. A problem per seed; the samples stay
1,024 however many sources there are, as in the paper. The MLP trains for as many steps as cost the SAE's FLOPs, by the
paper's count; encoders and decoders are updated as published (a direction's gradient is not projected).
"""
    full = RegimesSettings()
    quick = RegimesSettings(
        n_seeds=1,
        n_steps=1_000,
        n_log_code_steps=600,
        n_inference_steps=600,
        n_chains=2,
        d_in_values=(8, 16),
        n_features_values=(16, 32),
    )

    def cells(self, settings: RegimesSettings) -> list[Cell]:
        return [
            Cell(
                f"{method}, N={n_features}, M={d_in}, K={k}",
                {"method": method, "n_features": n_features, "d_in": d_in, "k": k},
                n_features / 16 + d_in / 16 + (2.0 if method == LOG_CODES else 0.0),
            )
            for method in METHODS
            for k in settings.k_values
            for n_features in settings.n_features_values
            for d_in in settings.d_in_values
        ]

    def run(self, cell: Cell, settings: RegimesSettings, on_fraction: OnFraction) -> list[Row]:
        """One row per seed."""
        labels = cell.arguments
        size = {key: labels[key] for key in ("n_features", "d_in", "k")}
        problems = draw_problems("fresh", n_problems=settings.n_seeds, n_samples=settings.n_samples, **size)
        if labels["method"] == OURS:
            return best_sparse_coding(problems, n_chains=settings.n_chains, labels=labels, on_fraction=on_fraction)
        if labels["method"] == LOG_CODES:
            return log_code_sparse_coding(
                problems,
                n_steps=settings.n_log_code_steps,
                n_inference_steps=settings.n_inference_steps,
                l1_weight=settings.l1_weight,
                learning_rate=3e-3,
                labels=labels,
                on_fraction=on_fraction,
            )
        config = EncoderConfig(d_in=labels["d_in"], n_features=labels["n_features"], hidden=HIDDEN[labels["method"]])
        n_steps = _steps_at_equal_flops(config, n_sae_steps=settings.n_steps)
        return train_and_score(
            config,
            problems,
            scenario="unknown",
            n_steps=n_steps,
            record_at=(n_steps,),
            on_fraction=on_fraction,
            labels=labels,
            l1_weights=settings.l1_weight,
            is_gradient_projected=False,
        )[0]

    def comparisons(self, rows: Sequence[Row], settings: RegimesSettings) -> list[Comparison]:
        published = [
            (k, method, d_in, n_features, mean)
            for k in settings.k_values
            for method, by_d_in in PUBLISHED.get(k, {}).items()
            for d_in, by_n_features in by_d_in.items()
            for n_features, mean in by_n_features.items()
        ]
        comparisons = []
        for k, method, d_in, n_features, mean in published:
            values = _values(rows, method, n_features, d_in, k)
            if values:
                size = f"N={n_features} M={d_in}" + ("" if k == 3 else f" K={k}")
                comparisons.append(Comparison(f"{method}, {size}, latent MCC", mean, describe(values)))
        return comparisons

    def tables(self, rows: Sequence[Row], settings: RegimesSettings) -> list[Table]:
        lines = []
        for k in settings.k_values:
            for d_in in settings.d_in_values:
                for n_features in settings.n_features_values:
                    values = [_values(rows, method, n_features, d_in, k) for method in METHODS]
                    texts = [str(describe(each)) if each else "-" for each in values]
                    bound = f"{k * math.log(n_features / k):.1f}"
                    lines.append((str(n_features), str(d_in), str(k), bound, *texts))
        heads = ("N", "M", "K", "K ln(N/K)", *METHODS)
        return [Table("Latent MCC by size", heads, tuple(lines))]

    def notes(self, rows: Sequence[Row], settings: RegimesSettings) -> list[str]:
        wins = [
            _mean(rows, OURS, n_features, d_in, k)
            - max(_mean(rows, method, n_features, d_in, k) for method in METHODS[:3])
            for k in settings.k_values
            for d_in in settings.d_in_values
            for n_features in settings.n_features_values
        ]
        outside = [each for each in self.comparisons(rows, settings) if not each.is_reproduced]
        n_higher = sum(each.difference > 0 for each in outside)
        return [
            f"Our sparse coding is ahead of the best other method by {min(wins):+.3f} to {max(wins):+.3f} over the "
            "grid.",
            f"Of {len(outside)} values outside, ours are higher in {n_higher} and lower in {len(outside) - n_higher}.",
            "The published values stand without spreads: where one problem and the next differ much (few sources, many "
            "measurements: some fits end in a local optimum), a verdict says little.",
        ]

    def figure(self, rows: Sequence[Row], settings: RegimesSettings) -> Any:
        """Latent MCC over N for each M, and the grid with the line."""
        k = settings.k_values[0]
        figure, axes = new_figure(1, len(settings.d_in_values) + 1, width=3.5, height=3.5)
        for place, d_in in enumerate(settings.d_in_values):
            panel = axes[0, place]
            for method in METHODS:
                spreads = [describe(_values(rows, method, each, d_in, k)) for each in settings.n_features_values]
                panel.errorbar(
                    settings.n_features_values,
                    [spread.mean for spread in spreads],
                    yerr=[spread.half_width for spread in spreads],
                    color=colour(method),
                    marker=marker(method),
                    elinewidth=0.8,
                    label=method,
                )
                published = PUBLISHED.get(k, {}).get(method, {}).get(d_in)
                if published:
                    style = {"color": colour(method), "linestyle": ":", "linewidth": 1.2}
                    panel.plot(list(published), list(published.values()), **style)
            panel.set_xscale("log", base=2)
            panel.set_xticks(settings.n_features_values, [str(each) for each in settings.n_features_values])
            panel.set(title=f"M = {d_in}, K = {k}", xlabel="sources N", ylim=(0, 1.05))
        axes[0, 0].set_ylabel("latent MCC (dotted: published)")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        _grid(axes[0, -1], rows, settings, k)
        return figure


def _steps_at_equal_flops(config: EncoderConfig, *, n_sae_steps: int) -> int:
    """Steps that cost what the SAE's cost, by the published count."""
    if config.hidden is None:
        return n_sae_steps
    sizes = {"n_rows": 1, "d_in": config.d_in, "n_features": config.n_features}
    budget = published_sae_training_flops(**sizes, n_steps=n_sae_steps)
    return max(1, budget // published_mlp_training_flops(**sizes, d_hidden=config.hidden, n_steps=1))


def _grid(panel: Any, rows: Sequence[Row], settings: RegimesSettings, k: int) -> None:
    """Our sparse coding minus the SAE, by size, and the compressed-sensing line."""
    gaps = [
        (n_features, d_in, _mean(rows, OURS, n_features, d_in, k) - _mean(rows, "SAE", n_features, d_in, k))
        for n_features in settings.n_features_values
        for d_in in settings.d_in_values
    ]
    points = panel.scatter(
        [n_features for n_features, _, _ in gaps],
        [d_in for _, d_in, _ in gaps],
        c=[gap for _, _, gap in gaps],
        cmap="cividis",
        vmin=0,
        vmax=0.8,
        s=220,
        marker="s",
    )
    for n_features, d_in, gap in gaps:
        ink = "#000000" if gap > 0.4 else "#FFFFFF"
        panel.annotate(f"{gap:.2f}", (n_features, d_in), ha="center", va="center", fontsize=6.5, color=ink)
    sizes = [2 ** (exponent / 8) for exponent in range(24, 65)]
    sizes = [
        size for size in sizes if 0.7 * min(settings.n_features_values) < size < 1.4 * max(settings.n_features_values)
    ]
    panel.plot(sizes, [k * math.log(size / k) for size in sizes], color="#D55E00", label="M = K ln(N/K)")
    panel.set_xscale("log", base=2)
    panel.set_yscale("log", base=2)
    panel.set_xticks(settings.n_features_values, [str(each) for each in settings.n_features_values])
    panel.set_yticks(settings.d_in_values, [str(each) for each in settings.d_in_values])
    panel.set_ylim(3, 1.5 * max(settings.d_in_values))
    panel.set(title="Gap: SC (ours) less SAE", xlabel="sources N", ylabel="measurements M")
    panel.legend(loc="lower right", fontsize=7.5)
    panel.figure.colorbar(points, ax=panel, label="difference in latent MCC")


def _values(rows: Sequence[Row], method: str, n_features: int, d_in: int, k: int) -> list[float]:
    return [row["latent_mcc"] for row in select(rows, method=method, n_features=n_features, d_in=d_in, k=k)]


def _mean(rows: Sequence[Row], method: str, n_features: int, d_in: int, k: int) -> float:
    return describe(_values(rows, method, n_features, d_in, k)).mean


STUDY = Regimes()
