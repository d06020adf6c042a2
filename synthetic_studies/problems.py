"""The studies' problems, stacked: fresh draws, or the published one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional

from sae_core.synthetic import SyntheticConfig, SyntheticProblem, stack_problems

__all__ = ["PUBLISHED_SEED", "draw_problems", "draw_published"]

PUBLISHED_SEED = {"known": 20240625, "unknown": 20240926}
"""Data seeds of the paper's code: one draw per study, under several initialisations."""


def draw_problems(problems: str, *, n_problems: int, n_samples: int, seed: int = 0, **config: Any) -> SyntheticProblem:
    """Stacked problems [n_problems, ...]: `fresh`, one per seed, or `published`, one draw repeated.

    config: fields of SyntheticConfig; the published draw takes n_features, d_in and k.
    """
    if problems == "published":
        return draw_published(seed, n_problems=n_problems, n_samples=n_samples, **config)
    drawn = SyntheticConfig(n_train=n_samples, n_test=n_samples, **config)
    return stack_problems(drawn, range(n_problems))


def draw_published(
    seed: int, *, n_problems: int, n_features: int = 16, d_in: int = 8, k: int = 3, n_samples: int = 1024
) -> SyntheticProblem:
    """The published draw of a seed, repeated: |normal| codes on k places, unit directions.

    The generators and their order are the paper's, so the data are identical.
    """
    draw = np.random.RandomState(seed)
    codes = np.zeros((2 * n_samples, n_features))
    for row in codes:
        values = np.abs(draw.normal(0, 1, n_features))
        active = draw.choice(n_features, k, replace=False)
        row[active] = values[active]
    directions = torch.randn(n_features, d_in, generator=torch.Generator().manual_seed(seed))
    dictionary = functional.normalize(directions, dim=1)
    both = torch.tensor(codes, dtype=torch.float32)
    train, test = both[:n_samples], both[n_samples:]
    parts = (dictionary, train, train @ dictionary, test, test @ dictionary)
    return SyntheticProblem(*(part.repeat(n_problems, 1, 1) for part in parts))
