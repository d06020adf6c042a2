"""Sparse coding by scikit-learn: a slow, independent reference."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.inference.lasso_lars import lasso_lars
from sae_core.sparse_coding.alternating import CodedDictionary

__all__ = ["fit_reference"]


def fit_reference(
    x: Float[Tensor, "n_samples d_in"],
    *,
    n_features: int,
    l1_weight: float = 0.05,
    n_restarts: int = 6,
    max_iter: int = 1000,
    is_non_negative: bool = True,
    seed: int = 0,
) -> CodedDictionary:
    """The best of `n_restarts` fits of DictionaryLearning, by training objective, with LassoLars codes at the same
    weight.

    Objective per sample: 1/2 |x - codes @ directions|^2 + l1_weight * |codes|_1. Raises ValueError.
    """
    if n_restarts < 1:
        raise ValueError(f"n_restarts = {n_restarts}: must be at least 1")
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Said of the codes of single turns, which the next turn goes on with.
        warnings.simplefilter("ignore", ConvergenceWarning)
        directions = _best_components(
            x,
            n_features=n_features,
            l1_weight=l1_weight,
            n_restarts=n_restarts,
            max_iter=max_iter,
            is_non_negative=is_non_negative,
            seed=seed,
        )
    codes = lasso_lars(x, directions, l1_weight=l1_weight, is_non_negative=is_non_negative)
    return CodedDictionary(directions, codes)


def _best_components(
    x: Tensor, *, n_features: int, l1_weight: float, n_restarts: int, max_iter: int, is_non_negative: bool, seed: int
) -> Tensor:
    import numpy as np
    from sklearn.decomposition import DictionaryLearning, sparse_encode

    samples = x.double().cpu().numpy()
    best_error, best = np.inf, None
    for restart in range(n_restarts):
        draw = np.random.default_rng((seed, restart))
        settings: dict[str, Any] = {"alpha": l1_weight}
        if restart > 0:  # the first fit starts from a singular value decomposition, the others from random samples
            rows = samples[draw.choice(len(samples), n_features, replace=False)]
            settings["dict_init"] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
            settings["code_init"] = sparse_encode(
                samples, settings["dict_init"], algorithm="lasso_cd", alpha=l1_weight, positive=is_non_negative
            )
        model = DictionaryLearning(
            n_components=n_features,
            max_iter=max_iter,
            fit_algorithm="cd",
            positive_code=is_non_negative,
            random_state=int(draw.integers(2**31)),
            **settings,
        ).fit(samples)
        if model.error_[-1] < best_error:
            best_error, best = model.error_[-1], model.components_
    assert best is not None
    norms = np.maximum(np.linalg.norm(best, axis=1, keepdims=True), 1e-12)
    return torch.from_numpy(best / norms).to(dtype=x.dtype, device=x.device)
