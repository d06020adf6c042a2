"""How much of the subject's loss survives when a dictionary's reconstruction replaces the activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.errors import InputError, SubjectError
from autointerp.progress import Bar
from autointerp.subject.hooks import Replace
from autointerp.subject.model import Subject
from autointerp.subject.packing import PackedBatch
from autointerp.subject.upper_layers import UpperLayers
from sae_core.jackknife import jackknife_interval

if TYPE_CHECKING:
    from sae_core.dictionary import Dictionary

__all__ = ["Fidelity", "LossSample", "measure_fidelities", "measure_fidelity"]

Interval = tuple[float, float]


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
    # 95%, of the shares below, by leaving out each context; None where one of them makes the share undefined
    recovered_zero_interval: Interval | None = None
    recovered_mean_interval: Interval | None = None

    @property
    def recovered_zero_frac(self) -> float | None:
        """(zero - spliced) / (zero - clean); 1 is perfect, None where ablation does not raise the loss."""
        return _recovered(self.clean, self.spliced, self.zero)

    @property
    def recovered_mean_frac(self) -> float | None:
        """The same against mean ablation, the stricter of the two."""
        return _recovered(self.clean, self.spliced, self.mean)


class LossSample:
    """The contexts on which losses at `point` are compared: the first `n_tokens` text tokens that are added.

    What enters the site's layer is kept, in float32: the layers below it run once, when a batch is added. Transcoders
    read `read`, of the same layer; they write `point`.
    """

    def __init__(
        self, subject: Subject, point: SitePoint, *, read: SitePoint | None = None, n_tokens: int | None = None
    ) -> None:
        self.subject, self.point, self.read = subject, point, read or point
        self._total = torch.zeros(subject.width(point), dtype=torch.float64)
        self.upper = UpperLayers(subject, point.layer)
        # where `add` needs activations
        self.points = [point, self.upper.entering] if self.upper.first else [point]
        self._n_left = n_tokens
        # tokens, which of them are text, and what enters the layer
        self._contexts: list[tuple[Tensor, Tensor, Tensor]] = []
        self._n_tokens = 0

    def add(self, batch: PackedBatch, found: Mapping[SitePoint, Tensor]) -> None:
        """`found`: the batch's activations at `points`."""
        is_text = batch.is_text
        if self._n_left is not None:
            is_text = is_text & (is_text.flatten().cumsum(0).view_as(is_text) <= self._n_left)
            self._n_left -= int(is_text.sum())
        rows = is_text.any(dim=1)
        if not rows.any():
            return
        x = found[self.point][is_text.to(found[self.point].device)]
        self._total += x.double().sum(dim=0).cpu()
        self._n_tokens += x.shape[0]
        entering = found[self.upper.entering] if self.upper.first else found[self.point][..., :0]
        self._contexts.append((batch.tokens[rows], is_text[rows], entering[rows.to(entering.device)]))

    @torch.no_grad()
    def fidelities(self, dictionaries: Mapping[str, Dictionary], *, bar: Bar | None = None) -> dict[str, Fidelity]:
        """The fidelity of each dictionary.

        Raises SubjectError when a dictionary's width is not the site's, InputError when no token can be predicted.
        """
        width = self.subject.width(self.read)
        for dictionary in dictionaries.values():
            if dictionary.d_in != width:
                raise SubjectError(
                    f"the dictionary reads {dictionary.d_in} inputs, but {self.read} of '{self.subject.name}' has "
                    f"width {width}; read the site the dictionary was trained on"
                )
        if not dictionaries:
            return {}
        mean = (self._total / max(1, self._n_tokens)).float().to(self.subject.device)
        replacements: dict[str, tuple[SitePoint, Replace] | None] = {
            "clean": None,
            "zero": (self.point, torch.zeros_like),
            "mean": (self.point, lambda x: mean.expand_as(x)),
            **{f"spliced {name}": (self.read, dictionary) for name, dictionary in dictionaries.items()},
        }
        # by replacement, the loss of every context
        losses: dict[str, list[Tensor]] = {name: [] for name in replacements}
        parts = list(self._parts())
        for tokens, mask, entering in parts:
            with self.upper.entered(entering):
                for name, replace in replacements.items():
                    losses[name].append(self._losses(tokens, mask, replace).double().sum(dim=1).cpu())
                    if bar is not None:
                        bar.update(sum(map(len, losses.values())), total=len(parts) * len(replacements))
        n_tokens = sum(int(torch.count_nonzero(mask[:, 1:])) for _, mask, _ in parts)
        if n_tokens == 0:
            raise InputError("corpus.path: no token to measure the loss on; give more text")
        by_context = {name: torch.cat(found).numpy() for name, found in losses.items()}
        return {name: _fidelity(by_context, f"spliced {name}", n_tokens=n_tokens) for name in dictionaries}

    def _parts(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The contexts, so many at a time as one pass takes."""
        for context in self._contexts:
            n_rows = self.subject.rows_at_once(context[0].shape[1])
            yield from zip(*(part.split(n_rows) for part in context), strict=True)

    def _losses(self, tokens: Tensor, mask: Tensor, replaced: tuple[SitePoint, Replace] | None) -> Tensor:
        """`replaced`: by what, and of the activations of which site."""
        if replaced is None:
            return self.subject.loss(tokens, mask)
        read, replace = replaced
        return self.subject.spliced_loss(tokens, mask, point=self.point, replace=replace, read=read)


def measure_fidelity(
    subject: Subject, dictionary: Dictionary, point: SitePoint, batches: Sequence[PackedBatch]
) -> Fidelity:
    """Raises as `LossSample.fidelities`."""
    return measure_fidelities(subject, {"": dictionary}, point=point, batches=batches)[""]


def measure_fidelities(
    subject: Subject, dictionaries: Mapping[str, Dictionary], point: SitePoint, batches: Sequence[PackedBatch]
) -> dict[str, Fidelity]:
    """The fidelity of each dictionary of one site. Raises as `LossSample.fidelities`."""
    sample = LossSample(subject, point)
    for batch in batches:
        sample.add(batch, subject.activations(batch.tokens, sample.points))
    return sample.fidelities(dictionaries)


def _fidelity(by_context: Mapping[str, np.ndarray], spliced: str, *, n_tokens: int) -> Fidelity:
    losses = {name: by_context[name] for name in ("clean", "zero", "mean")} | {"spliced": by_context[spliced]}
    means = {name: float(each.sum() / n_tokens) for name, each in losses.items()}
    return Fidelity(
        n_tokens=n_tokens,
        **means,
        recovered_zero_interval=_interval(losses, "zero"),
        recovered_mean_interval=_interval(losses, "mean"),
    )


def _interval(losses: Mapping[str, np.ndarray], ablated: str) -> Interval | None:
    """Of the share recovered against an ablation, by leaving out each context."""
    clean, spliced, worst = (losses[name].sum() - losses[name] for name in ("clean", "spliced", ablated))
    whole = _recovered(*(float(losses[name].sum()) for name in ("clean", "spliced", ablated)))
    if whole is None or not bool((worst > clean).all()):
        return None
    return jackknife_interval(whole, ((worst - spliced) / (worst - clean)).tolist())


def _recovered(clean: float, spliced: float, ablated: float) -> float | None:
    return (ablated - spliced) / (ablated - clean) if ablated > clean else None
