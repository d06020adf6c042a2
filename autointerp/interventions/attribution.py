"""Effects of features on a metric of what comes after them: by gradient, and exactly, one pass a feature.

Attribution is the first-order estimate, gradient times change of the feature's value (attribution patching, Nanda 2023;
Syed et al. 2023, arXiv 2310.10348); for an ablation that is minus gradient times activation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.interventions.changes import FeatureValues
from autointerp.interventions.reading import ReadPrompts
from sae_core.dictionary import Dictionary

__all__ = ["Metric", "attribute", "measure_one_by_one"]

Metric = Callable[[Float[Tensor, "rows out"], Int[Tensor, " rows"]], Float[Tensor, " rows"]]
"""A number of each row's outputs (`ReadPrompts`); the second argument holds the prompts' indices, for targets of their
own."""

ROWS_WITH_GRADIENT = 16
FEATURES_AT_ONCE = 16


def attribute(
    read: ReadPrompts,
    dictionary: Dictionary,
    metric: Metric,
    *,
    change: Float[Tensor, "prompt pos n_features"],
    base: Float[Tensor, "prompt pos d_in"] | None = None,
    at: Bool[Tensor, "prompt pos"] | None = None,
) -> Float[Tensor, "prompt n_features"]:
    """What each feature adds to the metric when its values change by `change` where `at` is on, to first order.

    `base`: what is added to the activations already, where the gradient is taken.
    """
    every = torch.arange(dictionary.n_features, device=dictionary.directions.device)
    found = []
    for rows in torch.arange(len(read)).split(ROWS_WITH_GRADIENT):
        part = read.part(rows)
        added = torch.zeros_like(part.x) if base is None else base[rows].to(part.x)
        codes = torch.zeros(*part.x.shape[:2], len(every), device=part.x.device, requires_grad=True)
        shift = dictionary.difference(part.x.flatten(0, 1), every, codes.flatten(0, 1)).view_as(part.x)
        outputs = part.outputs(added + shift, at=None if at is None else at[rows], has_gradient=True)
        (gradient,) = torch.autograd.grad(metric(outputs, rows).sum(), codes)
        found.append((gradient * change[rows].to(gradient)).sum(dim=1))
    return torch.cat(found)


@torch.no_grad()
def measure_one_by_one(
    read: ReadPrompts,
    dictionary: Dictionary,
    metric: Metric,
    *,
    features: Int[Tensor, " chosen"],
    values: Tensor,
    base: Float[Tensor, "prompt pos d_in"] | None = None,
    at: Bool[Tensor, "prompt pos"] | None = None,
) -> Float[Tensor, "prompt chosen"]:
    """The metric with each feature alone at its value ([chosen], or broadcast to [prompt pos chosen]): exact.

    `base` is added to the activations beside. An ablation has `values` zero; the effect is the difference from the
    metric without it.
    """
    values = values.expand(*read.x.shape[:2], len(features))
    found = []
    for chosen in torch.arange(len(features)).split(FEATURES_AT_ONCE):
        shifts = FeatureValues(dictionary, read.x, features[chosen]).one_by_one(values[..., chosen])
        outputs = read.outputs_of_each(shifts if base is None else shifts + base.to(shifts), at=at)
        rows = torch.arange(len(read))
        found.append(torch.stack([metric(each, rows) for each in outputs], dim=1))
    return torch.cat(found, dim=1)
