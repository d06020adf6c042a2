"""What a run reads at one site of its subject: which tokens are left out as attention sinks, and a sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.progress import Progress
from autointerp.stages.workbench import Workbench
from autointerp.subject.activations import iter_training_batches, iter_training_chunks
from autointerp.subject.packing import PackedBatch
from autointerp.subject.sinks import NO_LIMIT, Sinks, find_sinks

__all__ = ["SiteActivations", "open_site"]

# activations on which components and thresholds are fitted and densities taken
SAMPLE_TOKENS = 65_536

# the first tokens, in which attention sinks are looked for
SINK_TOKENS = 16_384


@dataclass(eq=False)
class SiteActivations:
    """The activations at `point` on the text of the dictionary role."""

    bench: Workbench
    point: SitePoint
    # those found there, masked or not
    sinks: Sinks | None

    @property
    def longest(self) -> float:
        """The norm above which an activation is left out."""
        if self.sinks is None or self.bench.config.subject.sinks == "keep":
            return NO_LIMIT
        return self.sinks.longest

    @property
    def limit(self) -> dict[SitePoint, float]:
        return {self.point: self.longest} if self.longest < NO_LIMIT else {}

    @cached_property
    def sample(self) -> Float[Tensor, "n_sample d_in"]:
        """The same for every dictionary of the site; `del site.sample` frees it."""
        contexts = _contexts(self.bench, SAMPLE_TOKENS)
        return torch.cat(list(iter_training_chunks(self.bench.subject, contexts, self.point, longest=self.longest)))


def open_site(bench: Workbench, point: SitePoint, progress: Progress) -> SiteActivations:
    with progress.bar(f"attention sinks {point}"):
        sinks = find_sinks(bench.subject, _contexts(bench, SINK_TOKENS), point)
    if sinks is not None:
        done = "left out" if bench.config.subject.sinks == "mask" else "kept (subject.sinks = 'keep')"
        progress.say(f"{point}: attention sinks {done}: {sinks.in_short()}")
    return SiteActivations(bench, point, sinks)


def _contexts(bench: Workbench, n_tokens: int) -> Iterator[PackedBatch]:
    subject = bench.config.subject
    return iter_training_batches(
        bench.subject,
        bench.corpus,
        max_tokens=min(n_tokens, bench.config.corpus.dictionary_tokens),
        context_tokens=subject.context_tokens,
        batch_contexts=subject.batch_contexts,
        packing=subject.packing,
        skip_first=subject.skip_first,
    )
