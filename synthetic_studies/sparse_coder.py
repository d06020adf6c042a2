"""Sparse coding as studies compare it: the paper's on log-codes, and this project's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sae_core.flops import adam_codes_flops, fista_flops, log_codes_training_flops
from sae_core.sparse_coding.log_codes import fit_log_codes, infer_log_codes
from sae_core.sparse_coding.restarts import RestartConfig, fit_with_restarts, infer_codes
from sae_core.synthetic import SyntheticProblem
from synthetic_studies.recording import score_rows
from synthetic_studies.study import OnFraction, Row

__all__ = ["best_sparse_coding", "geometric_marks", "log_code_sparse_coding"]

INFERENCE_STEPS = 500


def geometric_marks(n_steps: int, *, ratio: int = 4, n_marks: int = 3) -> list[int]:
    """`n_steps`, divided by `ratio` again and again, in rising order."""
    return sorted({max(1, n_steps // ratio**power) for power in range(n_marks)})


def log_code_sparse_coding(
    problems: SyntheticProblem,
    *,
    n_steps: int,
    n_inference_steps: int,
    labels: dict[str, Any],
    on_fraction: OnFraction,
    l1_weight: float = 0.01,
    learning_rate: float = 1e-3,
    marks: Sequence[int] = (),
    n_features: int | None = None,
    seed: int = 0,
) -> list[Row]:
    """The paper's sparse coding, scored after the steps in `marks` and after `n_steps`."""
    rows: list[Row] = []
    n_rows, d_in = problems.train_x.shape[-2:]
    wanted = sorted({*marks, n_steps})
    sizes: Any = {"n_rows": n_rows, "d_in": d_in, "n_features": n_features or problems.dictionary.shape[1]}
    for place, n_fit_steps in enumerate(wanted):  # from one start: a shorter fit is the beginning of a longer one
        fit = fit_log_codes(
            problems.train_x,
            n_features=sizes["n_features"],
            n_steps=n_fit_steps,
            learning_rate=learning_rate,
            l1_weight=l1_weight,
            seed=seed,
        )
        codes = infer_log_codes(problems.test_x, fit.directions, n_steps=n_inference_steps, l1_weight=l1_weight)
        flops = log_codes_training_flops(n_steps=n_fit_steps, **sizes)
        flops += adam_codes_flops(n_steps=n_inference_steps, **sizes)
        scored = score_rows(problems, codes, fit.directions, **labels, step=n_fit_steps)
        rows += [{**row, "flops": flops} for row in scored]
        on_fraction(sum(wanted[: place + 1]) / sum(wanted))
    return rows


def best_sparse_coding(
    problems: SyntheticProblem,
    *,
    n_chains: int,
    labels: dict[str, Any],
    on_fraction: OnFraction,
    n_features: int | None = None,
    seed: int = 0,
) -> list[Row]:
    """This project's sparse coding: chains with kicks, the best by training objective.

    flops: training of ONE problem, and inference.
    """
    n_problems, n_rows, d_in = problems.train_x.shape
    n_features = n_features or problems.dictionary.shape[1]
    rows: list[Row] = []
    for place in range(n_problems):
        one = SyntheticProblem(*(part[place : place + 1] for part in problems))
        config = RestartConfig(n_features=n_features, n_chains=n_chains)
        fit = fit_with_restarts(one.train_x, config, seed=seed + place)
        codes = infer_codes(one.test_x, fit, n_steps=INFERENCE_STEPS)
        flops = fit.training_flops
        flops += fista_flops(n_rows=n_rows, d_in=d_in, n_features=n_features, n_steps=INFERENCE_STEPS)
        [row] = score_rows(one, codes, fit.directions, **labels)
        rows.append({**row, "seed": place, "flops": flops})
        on_fraction((place + 1) / n_problems)
    return rows
