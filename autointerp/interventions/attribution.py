"""Effects of features on a metric of the next token's logits: by gradient, and exactly, one pass a feature.

Attribution is the first-order estimate, gradient times change of the feature's value (attribution patching, Nanda 2023;
Syed et al. 2023, arXiv 2310.10348); for an ablation that is minus gradient times activation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.interventions.changes import FeatureValues, add
from autointerp.interventions.prompts import Prompts
from autointerp.subject.model import Subject
from sae_core.dictionary import Dictionary

__all__ = ["Metric", "attribute", "measure_one_by_one"]

Metric = Callable[[Float[Tensor, "rows vocab"], Int[Tensor, " rows"]], Float[Tensor, " rows"]]
"""A number of each row's logits; the second argument holds the prompts' indices, for targets of their own."""

ROWS_AT_ONCE = 256
ROWS_WITH_GRADIENT = 16


def attribute(
    subject: Subject,
    dictionary: Dictionary,
    point: SitePoint,
    prompts: Prompts,
    metric: Metric,
    *,
    change: Float[Tensor, "prompt pos n_features"],
    base: Float[Tensor, "prompt pos d_in"] | None = None,
    at: Bool[Tensor, "prompt pos"] | None = None,
) -> Float[Tensor, "prompt n_features"]:
    """What each feature adds to the metric when its values change by `change` where `at` is on, to first order.

    `base`: what is added to the activations already, where the gradient is taken.
    """
    inside = prompts.is_text if at is None else at
    every = torch.arange(dictionary.n_features, device=dictionary.directions.device)
    found = []
    for rows in torch.arange(len(prompts)).split(ROWS_WITH_GRADIENT):
        part = prompts.part(rows)
        x = subject.activations(part.tokens, [point])[point]
        own = torch.zeros_like(x) if base is None else base[rows].to(x)
        codes = torch.zeros(*x.shape[:2], len(every), device=x.device, requires_grad=True)
        shift = dictionary.difference(x.flatten(0, 1), every, codes.flatten(0, 1)).view_as(x)
        logits = subject.changed_logits(
            part.tokens, {point: add(own + shift, at=inside[rows])}, at=part.last, has_gradient=True
        )
        (gradient,) = torch.autograd.grad(metric(logits, rows).sum(), codes)
        found.append((gradient * change[rows].to(gradient)).sum(dim=1))
    return torch.cat(found)


@torch.no_grad()
def measure_one_by_one(
    subject: Subject,
    dictionary: Dictionary,
    point: SitePoint,
    prompts: Prompts,
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
    inside = prompts.is_text if at is None else at
    x = subject.activations(prompts.tokens, [point])[point]
    values = values.expand(*x.shape[:2], len(features))
    beside = torch.zeros_like(x) if base is None else base.to(x)
    found = []
    for chosen in torch.arange(len(features)).split(max(1, ROWS_AT_ONCE // len(prompts))):
        shift = FeatureValues(dictionary, x, features[chosen]).one_by_one(values[..., chosen]) + beside
        many, masks = prompts.repeated(len(chosen)), inside.repeat(len(chosen), 1)
        logits = subject.changed_logits(many.tokens, {point: add(shift.flatten(0, 1), at=masks)}, at=many.last)
        indices = torch.arange(len(prompts)).repeat(len(chosen))
        found.append(metric(logits, indices).view(len(chosen), len(prompts)).T)
    return torch.cat(found, dim=1)
