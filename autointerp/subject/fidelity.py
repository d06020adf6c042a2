"""How much of the subject's loss survives when a dictionary's reconstruction replaces the activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.errors import InputError, SubjectError
from autointerp.progress import Bar
from autointerp.subject.model import Replace, Subject
from autointerp.subject.packing import PackedBatch

if TYPE_CHECKING:
    from sae_core.dictionary import Dictionary

__all__ = ["Fidelity", "measure_fidelities", "measure_fidelity"]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Losses in nats per token over the same `n_tokens` predicted text tokens (Bricken et al. 2023, "loss recovered").

    The site's output is untouched (`clean`), or replaced at text tokens by the reconstruction (`spliced`), by zeros, or
    by its mean over the text positions given.
    """

    n_tokens: int
    clean: float
    spliced: float
    zero: float
    mean: float

    @property
    def recovered_zero_frac(self) -> float | None:
        """(zero - spliced) / (zero - clean); 1 is perfect, None where ablation does not raise the loss."""
        return _recovered(self.clean, self.spliced, self.zero)

    @property
    def recovered_mean_frac(self) -> float | None:
        """The same against mean ablation, the stricter of the two."""
        return _recovered(self.clean, self.spliced, self.mean)


def measure_fidelity(
    subject: Subject, dictionary: Dictionary, point: SitePoint, batches: Sequence[PackedBatch]
) -> Fidelity:
    """Raises SubjectError when the dictionary's width is not the site's, InputError when no token can be predicted."""
    return measure_fidelities(subject, {"": dictionary}, point=point, batches=batches)[""]


@torch.no_grad()
def measure_fidelities(
    subject: Subject,
    dictionaries: Mapping[str, Dictionary],
    point: SitePoint,
    batches: Sequence[PackedBatch],
    *,
    bar: Bar | None = None,
) -> dict[str, Fidelity]:
    """The fidelity of each dictionary of one site. Raises as `measure_fidelity`."""
    width = subject.width(point)
    for dictionary in dictionaries.values():
        if dictionary.d_in != width:
            raise SubjectError(
                f"the dictionary reads {dictionary.d_in} inputs, but {point} of '{subject.name}' has width {width}; "
                "read the site the dictionary was trained on"
            )
    if not dictionaries:
        return {}
    mean = _mean_activation(subject, point, batches)
    replacements: dict[str, Replace | None] = {
        "clean": None,
        "zero": torch.zeros_like,
        "mean": lambda x: mean.expand_as(x),
        **{f"spliced {name}": dictionary for name, dictionary in dictionaries.items()},
    }
    losses = {}
    for name, replace in replacements.items():
        losses[name] = _mean_loss(subject, point, batches, replace)
        if bar is not None:
            bar.update(len(losses), total=len(replacements))
    shared = {name: losses[name] for name in ("clean", "zero", "mean")}
    n_tokens = sum(_n_predicted(batch) for batch in batches)
    return {name: Fidelity(n_tokens=n_tokens, spliced=losses[f"spliced {name}"], **shared) for name in dictionaries}


def _recovered(clean: float, spliced: float, ablated: float) -> float | None:
    return (ablated - spliced) / (ablated - clean) if ablated > clean else None


def _n_predicted(batch: PackedBatch) -> int:
    return int(torch.count_nonzero(batch.is_text[:, 1:]))


def _mean_loss(subject: Subject, point: SitePoint, batches: Sequence[PackedBatch], replace: Replace | None) -> float:
    total, n_tokens = 0.0, 0
    for batch in batches:
        if replace is None:
            losses = subject.loss(batch.tokens, batch.is_text)
        else:
            losses = subject.spliced_loss(batch.tokens, batch.is_text, point=point, replace=replace)
        total += float(losses.double().sum())
        n_tokens += _n_predicted(batch)
    if n_tokens == 0:
        raise InputError("corpus.path: no token to measure the loss on; give more text")
    return total / n_tokens


def _mean_activation(subject: Subject, point: SitePoint, batches: Sequence[PackedBatch]) -> Tensor:
    total = torch.zeros(subject.width(point), dtype=torch.float64)
    n_tokens = 0
    for batch in batches:
        activations = subject.activations(batch.tokens, [point])[point]
        total += activations[batch.is_text.to(activations.device)].double().sum(dim=0).cpu()
        n_tokens += batch.n_tokens
    return (total / max(1, n_tokens)).float().to(subject.device)
