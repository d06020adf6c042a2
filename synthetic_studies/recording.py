"""Training with scores on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from sae_core.synthetic import SyntheticProblem
from synthetic_studies.amortised import EncoderConfig, EncoderStack, Scenario, train_stack
from synthetic_studies.scoring import code_costs, code_scores, dictionary_scores
from synthetic_studies.study import OnFraction, Row

__all__ = ["score_rows", "train_and_score"]


def score_rows(
    problems: SyntheticProblem,
    codes: Float[Tensor, "problem n_test n_features"],
    directions: Float[Tensor, "problem n_features d_in"],
    /,
    **labels: Any,
) -> list[Row]:
    """One row per problem: latent and dictionary MCC, mse, l0 and l1 of held-out codes."""
    latent = code_scores(problems.test_codes, codes)
    dictionary = dictionary_scores(problems.dictionary, directions)
    costs = code_costs(problems.test_x, codes, directions)
    return [
        {**labels, "seed": seed, "latent_mcc": a, "dictionary_mcc": b, "mse": c.mse, "l0": c.l0, "l1": c.l1}
        for seed, (a, b, c) in enumerate(zip(latent, dictionary, costs, strict=True))
    ]


def train_and_score(
    config: EncoderConfig,
    problems: SyntheticProblem,
    *,
    scenario: Scenario,
    n_steps: int,
    record_at: Iterable[int],
    on_fraction: OnFraction,
    labels: dict[str, Any],
    learning_rate: float = 1e-3,
    l1_weights: float | Sequence[float] = 0.01,
    is_gradient_projected: bool = True,
    seeds: Sequence[int] | None = None,
) -> tuple[list[Row], EncoderStack]:
    """Train a stack on the problems (initialised by seeds 0, 1, ... unless given), scored at `record_at`."""
    n_problems = problems.train_x.shape[0]
    directions = problems.dictionary if scenario == "dictionary" else None
    stack = EncoderStack(config, seeds=range(n_problems) if seeds is None else seeds, directions=directions)
    rows: list[Row] = []

    def record(step: int) -> None:
        x = problems.test_x - stack.parameters["b_dec"][:, None]
        centred = problems._replace(test_x=x)
        rows.extend(score_rows(centred, stack.encode(problems.test_x), stack.directions, **labels, step=step))

    train_stack(
        stack,
        problems.train_x,
        scenario=scenario,
        n_steps=n_steps,
        learning_rate=learning_rate,
        l1_weights=l1_weights,
        is_gradient_projected=is_gradient_projected,
        record_at=record_at,
        on_record=record,
        on_step=lambda step: on_fraction(step / n_steps),
    )
    return rows, stack
