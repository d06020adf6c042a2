"""Study `modern`: newer encoders and inference methods, trained by the library's loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import torch

from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.dictionary import Dictionary
from sae_core.inference.methods import METHODS as INFERENCE
from sae_core.inference.methods import infer
from sae_core.mcc import dictionary_mcc, latent_mcc
from sae_core.sparse_coding.restarts import RestartConfig, fit_with_restarts
from sae_core.support import measure_codes, support_recovery
from sae_core.synthetic import SyntheticConfig, SyntheticProblem, draw_problem
from sae_core.training.loop import train_dictionaries
from synthetic_studies.comparison import describe
from synthetic_studies.figure_style import colour, marker, new_figure
from synthetic_studies.study import Cell, OnFraction, Row, Study, StudySettings, Table, select

__all__ = ["STUDY", "ModernSettings"]

N_FEATURES, D_IN, K = 16, 8, 3
DATA: dict[str, dict[str, Any]] = {
    "base": {},
    "power law": {"importance_exponent": 1.0, "importance_affects": "frequency"},
    "correlated": {"correlation": 0.8, "correlation_block": 4},
}
OURS, TRUE = "SC (ours)", "true dictionary"
ENCODERS: dict[str, dict[str, Any]] = {
    "ReLU + L1": {"kind": "relu", "l0_target": float(K)},
    "TopK": {"kind": "topk"},
    "BatchTopK": {"kind": "batchtopk"},
    "JumpReLU": {"kind": "jumprelu", "l0_target": float(K)},
    "Gated": {"kind": "gated", "l0_target": float(K)},
    "ProLU": {"kind": "prolu", "l0_target": float(K)},
    "MLP + TopK": {"kind": "mlp", "hidden": (64,), "output": "topk"},
}
DICTIONARIES = (*ENCODERS, OURS, TRUE)
ITSELF = "its own encoder"


@dataclass(frozen=True, kw_only=True)
class ModernSettings(StudySettings):
    n_seeds: int = 3
    n_steps: int = 4_000
    learning_rate: float = 3e-3
    l1_weight: float = 0.02
    """Weight of the lasso methods: (1/2) |x - z D|^2 + weight * sum z."""
    n_inference_steps: int = 1_000
    n_chains: int = 8
    """Starts per problem of our sparse coding."""


class Modern(Study):
    """Newer encoders and every inference method."""

    name = "modern"
    title = "Newer encoders, and inference on their decoders"
    question = """
TopK, BatchTopK, JumpReLU, Gated, ProLU, ReLU + L1 and MLP + TopK autoencoders, trained by the library's own loop on
N=16, M=8, K=3 (1,024 samples, full batch; those without a k are steered to an L0 of 3), then every inference method
of the library on each decoder: do better codes for a given dictionary make up for the encoder? On equal sources, on
sources whose frequencies follow a power law, and on sources that fire together in blocks of four (copula correlation
0.8).
"""
    full = ModernSettings()
    quick = ModernSettings(n_seeds=1, n_steps=400, n_inference_steps=300)

    def cells(self, settings: ModernSettings) -> list[Cell]:
        return [
            Cell(
                f"{name}, {data}, seed {seed}",
                {"data": data, "dictionary": name, "seed": seed},
                0.2 if name == TRUE else 1.0,
            )
            for data in DATA
            for name in DICTIONARIES
            for seed in range(settings.n_seeds)
        ]

    def run(self, cell: Cell, settings: ModernSettings, on_fraction: OnFraction) -> list[Row]:
        """A row for the encoder's codes and one per inference method."""
        labels = cell.arguments
        config = SyntheticConfig(n_train=settings.n_samples, n_test=settings.n_samples, **DATA[labels["data"]])
        problem = draw_problem(config, seed=labels["seed"])
        name = labels["dictionary"]
        rows: list[Row] = []
        offset = torch.zeros(D_IN)
        if name in ENCODERS:
            trained = _train(name, problem, settings, seed=labels["seed"], on_fraction=on_fraction)
            directions, offset = trained.directions.detach(), trained.offset.detach()
            own = trained.encode_dense(problem.test_x)
            rows.append(_score(problem, own, directions, offset, {**labels, "inference": ITSELF}))
        elif name == OURS:
            fit = fit_with_restarts(
                problem.train_x, RestartConfig(n_features=N_FEATURES, n_chains=settings.n_chains), seed=labels["seed"]
            )
            directions = fit.directions
        else:
            directions = problem.dictionary
        for method in INFERENCE:
            codes = infer(
                problem.test_x - offset,
                directions,
                method=method,
                n_active=K,
                l1_weight=settings.l1_weight,
                n_steps=settings.n_inference_steps,
            ).to_dense(N_FEATURES)
            rows.append(_score(problem, codes, directions, offset, {**labels, "inference": method}))
        return rows

    def tables(self, rows: Sequence[Row], settings: ModernSettings) -> list[Table]:
        lines = []
        for name in DICTIONARIES:
            line = [name]
            for data in DATA:
                own = select(rows, dictionary=name, data=data, inference=ITSELF if name in ENCODERS else "fista")
                line += [str(describe([row[column] for row in own])) for column in ("latent_mcc", "dictionary_mcc")]
                best = _best(rows, name, data)
                line.append(f"{best[1]} ({best[0]})")
            lines.append(tuple(line))
        heads = (
            "dictionary",
            *(f"{data}: {what}" for data in DATA for what in ("latent", "dictionary", "best inference, latent")),
        )
        note = "Latent MCC of the dictionary's own encoder; of FISTA where there is none."
        by_method = []
        for name in DICTIONARIES:
            chosen = [select(rows, dictionary=name, data="base", inference=each) for each in (ITSELF, *INFERENCE)]
            texts = [str(describe([row["latent_mcc"] for row in each])) if each else "-" for each in chosen]
            by_method.append((name, *texts))
        return [
            Table("Encoders by data", heads, tuple(lines), note),
            Table("Latent MCC by inference method (base data)", ("decoder", ITSELF, *INFERENCE), tuple(by_method)),
        ]

    def notes(self, rows: Sequence[Row], settings: ModernSettings) -> list[str]:
        gains = {}
        for name in ENCODERS:
            own = describe([row["latent_mcc"] for row in select(rows, dictionary=name, data="base", inference=ITSELF)])
            gains[name] = _best(rows, name, "base")[1].mean - own.mean
        true_best, ours_best = _best(rows, TRUE, "base"), _best(rows, OURS, "base")
        text = ", ".join(f"{name} {gain:+.3f}" for name, gain in gains.items())
        return [
            f"What the best inference method adds to the encoder's own codes (latent MCC, base data): {text}.",
            f"With the true dictionary the best method reaches {true_best[1]} ({true_best[0]}), with ours "
            f"{ours_best[1]} ({ours_best[0]}): beyond that, what is missing is the dictionary, not the codes.",
        ]

    def figure(self, rows: Sequence[Row], settings: ModernSettings) -> Any:
        """Own codes and best inference per dictionary, a panel per data."""
        figure, axes = new_figure(1, len(DATA), width=4.0, height=4.2, sharey=True)
        for place, data in enumerate(DATA):
            panel = axes[0, place]
            for y, name in enumerate(reversed(DICTIONARIES)):
                _draw_line(panel, rows, name, data, y, is_labelled=y == len(DICTIONARIES) - 1)
            panel.set_yticks(range(len(DICTIONARIES)), list(reversed(DICTIONARIES)))
            panel.set(title=data, xlabel="held-out score", xlim=(0.2, 1.02), ylim=(-0.6, len(DICTIONARIES) - 0.4))
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3)
        return figure


def _draw_line(panel: Any, rows: Sequence[Row], name: str, data: str, y: int, *, is_labelled: bool) -> None:
    points = [("best inference: latent MCC", _best(rows, name, data)[1], 1)]
    if name in ENCODERS:
        own = select(rows, dictionary=name, data=data, inference=ITSELF)
        points.insert(0, ("own encoder: latent MCC", describe([row["latent_mcc"] for row in own]), 0))
    chosen = select(rows, dictionary=name, data=data, inference="fista")
    points.append(("dictionary MCC", describe([row["dictionary_mcc"] for row in chosen]), 2))
    for label, spread, index in points:
        panel.errorbar(
            spread.mean,
            y + (1 - index) * 0.2,
            xerr=spread.half_width,
            color=colour(index),
            marker=marker(index),
            elinewidth=0.8,
            linestyle="none",
            # The top line is an encoder, so it has all three.
            label=label if is_labelled else None,
        )


def _best(rows: Sequence[Row], name: str, data: str) -> tuple[str, Any]:
    """The inference method of highest mean latent MCC, and its spread."""
    spreads = {
        method: describe([row["latent_mcc"] for row in select(rows, dictionary=name, data=data, inference=method)])
        for method in INFERENCE
    }
    best = max(spreads, key=lambda method: spreads[method].mean)
    return best, spreads[best]


def _train(
    name: str, problem: SyntheticProblem, settings: ModernSettings, *, seed: int, on_fraction: OnFraction
) -> Dictionary:
    """Train on all training samples as one batch, repeatedly."""
    n_tokens = settings.n_steps * settings.n_samples
    training = TrainingConfig(
        n_tokens=n_tokens,
        batch_tokens=settings.n_samples,
        learning_rate=settings.learning_rate,
        dead_after_tokens=20 * settings.n_samples,
        seed=seed,
    )
    config = DictionaryConfig(n_features=N_FEATURES, k=K, **ENCODERS[name])
    n_done = 0

    def count(n_rows: int) -> None:
        nonlocal n_done
        n_done += n_rows
        if (n_done // settings.n_samples) % 50 == 0:
            on_fraction(min(1.0, n_done / n_tokens))

    trained = train_dictionaries(
        {name: (config, training)},
        repeat(problem.train_x),
        device="cpu",
        on_batch=count,
        record_every_steps=settings.n_steps,
    )
    return trained[name].dictionary


def _score(
    problem: SyntheticProblem, codes: torch.Tensor, directions: torch.Tensor, offset: torch.Tensor, labels: Row
) -> Row:
    latent = latent_mcc(problem.test_codes, codes)
    support = support_recovery(problem.test_codes, codes, latent, threshold=1e-3)
    cost = measure_codes(problem.test_x - offset, codes, directions)
    return {
        **labels,
        "latent_mcc": latent.mean,
        "dictionary_mcc": dictionary_mcc(problem.dictionary, directions).mean,
        "support_f1": support.f1,
        "exact_support": support.exact_frac,
        "mse": cost.mse,
        "l0": cost.l0,
    }


STUDY = Modern()
