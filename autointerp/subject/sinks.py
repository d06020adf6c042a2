"""Attention sinks: the few text tokens, mostly early in a context, whose activations are far longer than others.

Attention rests on them (Sun et al. 2024, arXiv 2402.17762). They say nothing of the text and can hold most of a site's
variance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.subject.activations import iter_activations
from autointerp.subject.packing import PackedBatch

if TYPE_CHECKING:
    from autointerp.subject.model import Subject

__all__ = ["NO_LIMIT", "Sinks", "find_sinks", "iter_without_sinks", "leave_out"]

# the longest activation where nothing counts as a sink
NO_LIMIT = math.inf

# multiples of the median norm from which on an activation may be a sink's
LONG = 6.0
MOST_PER_CONTEXT = 1.5
LEAST_VARIANCE_FRAC = 0.1
N_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Sinks:
    # the norm above which a text token is a sink
    longest: float
    n: int
    # their share of the text tokens, and of the variance
    tokens_frac: float
    variance_frac: float
    # their median norm over that of all text tokens
    norm_ratio: float
    # the commonest, with how often; positions count from the context's start
    positions: dict[str, int]
    tokens: dict[str, int]

    def in_short(self) -> str:
        positions = ", ".join(f"{position} ({n})" for position, n in self.positions.items())
        tokens = ", ".join(f"{token!r} ({n})" for token, n in self.tokens.items())
        return (
            f"{self.tokens_frac:.2%} of the text tokens, {self.norm_ratio:.0f} times as long as the median, hold "
            f"{self.variance_frac:.0%} of the variance; positions {positions}; tokens {tokens}"
        )


def find_sinks(
    subject: Subject, batches: Iterable[PackedBatch], points: Sequence[SitePoint]
) -> dict[SitePoint, Sinks | None]:
    """The sinks of each site, None where it has none; one pass.

    Sinks are few (at most 1.5 in a context), apart (fewer norms in [longest / 2, longest] than above) and heavy (at
    least a tenth of the variance).
    """
    rows: dict[SitePoint, list[Tensor]] = {point: [] for point in points}
    tokens, positions = [], []
    n_contexts = 0
    for batch, found in iter_activations(subject, batches, points):
        is_text = batch.is_text
        for point, x in found.items():
            rows[point].append(x[is_text.to(x.device)].cpu())
        tokens.append(batch.tokens[is_text].cpu())
        positions.append(torch.arange(is_text.shape[1]).expand_as(is_text)[is_text.cpu()])
        n_contexts += int(is_text.any(dim=1).sum())
    if not tokens:
        return dict.fromkeys(points)
    text = torch.cat(tokens), torch.cat(positions)
    # a site's rows are let go once they are judged
    return {point: _sinks_among(torch.cat(rows.pop(point)), *text, n_contexts, subject) for point in points}


def _sinks_among(
    x: Float[Tensor, "n d_in"],
    tokens: Int[Tensor, " n"],
    positions: Int[Tensor, " n"],
    n_contexts: int,
    subject: Subject,
) -> Sinks | None:
    norms = x.norm(dim=1)
    median = float(norms.median()) if len(norms) else 0.0
    if not median:
        return None
    longest = LONG * median
    is_sink = norms > longest
    n = int(is_sink.sum())
    n_between = int((norms > longest / 2).sum()) - n
    variance = (x - x.mean(dim=0)).square().sum(dim=1).double()
    variance_frac = float(variance[is_sink].sum() / variance.sum()) if n else 0.0
    if not n or n > MOST_PER_CONTEXT * n_contexts or n_between >= n or variance_frac < LEAST_VARIANCE_FRAC:
        return None
    return Sinks(
        longest=longest,
        n=n,
        tokens_frac=n / len(norms),
        variance_frac=variance_frac,
        norm_ratio=float(norms[is_sink].median()) / median,
        positions=_commonest(map(str, positions[is_sink].tolist())),
        tokens=_commonest(str(subject.tokenizer.decode([token])) for token in tokens[is_sink].tolist()),
    )


def leave_out(
    batch: PackedBatch, found: Mapping[SitePoint, Float[Tensor, "batch pos d_in"]], longest: Mapping[SitePoint, float]
) -> PackedBatch:
    """The batch, its tokens no text where an activation is longer than its site's `longest`."""
    mask: Bool[Tensor, "batch pos"] = torch.zeros_like(batch.is_text)
    for point, limit in longest.items():
        mask |= (found[point].norm(dim=-1) > limit).to(mask.device)
    return batch.without(mask)


def iter_without_sinks(
    subject: Subject, batches: Iterable[PackedBatch], longest: Mapping[SitePoint, float]
) -> Iterator[PackedBatch]:
    """The batches without sinks."""
    # the subject need not run
    if not longest:
        yield from batches
        return
    for batch, activations in iter_activations(subject, batches, list(longest)):
        yield leave_out(batch, activations, longest)


def _commonest(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common(N_SHOWN))
