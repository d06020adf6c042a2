"""What a run reads at the sites of its subject: which tokens are left out as attention sinks, and a sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.progress import Progress
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import read_manifest
from autointerp.stages.workbench import Workbench
from autointerp.subject.activations import iter_activations, iter_training_batches, shorter
from autointerp.subject.model import Subject
from autointerp.subject.packing import PackedBatch
from autointerp.subject.precision import LEAST_SAME_FRAC, compare_rounding
from autointerp.subject.sinks import NO_LIMIT, Sinks, find_sinks
from sae_core.device import has_fast_bfloat16

__all__ = ["SiteActivations", "keep_dtype", "named", "open_sites", "settle_dtype"]

# activations on which components and thresholds are fitted and densities taken
SAMPLE_TOKENS = 65_536

# the first tokens, on which bfloat16 is tried
ROUNDING_TOKENS = 4_096

# the first tokens, in which attention sinks are looked for
SINK_TOKENS = 16_384


@dataclass(eq=False)
class SiteActivations:
    """The activations at `point` on the text of the dictionary role."""

    bench: Workbench
    point: SitePoint
    # those found there, masked or not
    sinks: Sinks | None
    # the norm above which an activation is left out
    longest: float
    samples: SiteSamples

    @property
    def limit(self) -> dict[SitePoint, float]:
        return {self.point: self.longest} if self.longest < NO_LIMIT else {}

    @property
    def sample(self) -> Float[Tensor, "n_sample d_in"]:
        """The same for every dictionary of the site."""
        return self.samples[self.point]


class SiteSamples:
    """The samples of all sites, read in one pass when the first is asked for."""

    def __init__(self, bench: Workbench, longest: Mapping[SitePoint, float], progress: Progress) -> None:
        self._bench, self._longest, self._progress = bench, dict(longest), progress
        self._rows: dict[SitePoint, Tensor] = {}

    def __getitem__(self, point: SitePoint) -> Float[Tensor, "n_sample d_in"]:
        if not self._rows:
            label = f"sample of {named(self._longest)}"
            with _reading(self._bench, SAMPLE_TOKENS, label, self._progress) as contexts:
                rows = _text_rows(self._bench, contexts, list(self._longest))
            self._rows = {each: shorter(rows.pop(each), longest) for each, longest in self._longest.items()}
        return self._rows[point]

    def forget(self) -> None:
        self._rows = {}


def settle_dtype(bench: Workbench, points: Sequence[SitePoint], progress: Progress) -> None:
    """Give the subject the number type of `subject.dtype`, and say what bfloat16 changes at each point."""
    wanted, subject = bench.config.subject.dtype, bench.subject
    if wanted in ("float32", "int8") or (wanted == "auto" and not has_fast_bfloat16(subject.device)):
        return
    readings = []
    for dtype in (torch.float32, torch.bfloat16):
        subject.dtype = dtype
        label = f"bfloat16 against float32: {str(dtype).removeprefix('torch.')}"
        with _reading(bench, ROUNDING_TOKENS, label, progress) as contexts:
            readings.append(_text_rows(bench, contexts, points))
    changes = {point: compare_rounding(*(each[point] for each in readings)) for point in points}
    if wanted == "auto" and min(each.same_frac for each in changes.values()) < LEAST_SAME_FRAC:
        subject.dtype = torch.float32
    taken = "taken" if subject.dtype == torch.bfloat16 else "left, as under 99.5% (subject.dtype = 'bfloat16' takes it)"
    for point, change in changes.items():
        progress.say(f"{point}: in bfloat16 {change.in_short()}: {taken}")


def keep_dtype(subject: Subject, layout: RunLayout) -> None:
    """Give the subject the number type in which the run's dictionaries were trained."""
    trained = read_manifest(layout)["stages"].get("train", {}) if layout.manifest.is_file() else {}
    if "dtype" in trained:
        subject.dtype = getattr(torch, trained["dtype"])


def open_sites(
    bench: Workbench, points: Sequence[SitePoint], progress: Progress, *, written: Sequence[SitePoint] = ()
) -> dict[SitePoint, SiteActivations]:
    """Every site with its attention sinks, looked for in one pass; those `written` by transcoders have no sample."""
    every = list(dict.fromkeys([*points, *written]))
    with _reading(bench, SINK_TOKENS, f"attention sinks {named(every)}", progress) as contexts:
        found = find_sinks(bench.subject, contexts, every)
    is_masked = bench.config.subject.sinks == "mask"
    longest = dict.fromkeys(every, NO_LIMIT)
    for point, sinks in found.items():
        if sinks is not None:
            done = "left out" if is_masked else "kept (subject.sinks = 'keep')"
            progress.say(f"{point}: attention sinks {done}: {sinks.in_short()}")
            longest[point] = sinks.longest if is_masked else NO_LIMIT
    samples = SiteSamples(bench, {point: longest[point] for point in points}, progress)
    return {point: SiteActivations(bench, point, found[point], longest[point], samples) for point in every}


def named(points: Iterable[SitePoint]) -> str:
    """The points, in a line."""
    return ", ".join(map(str, points))


def _text_rows(
    bench: Workbench, contexts: Iterable[PackedBatch], points: Sequence[SitePoint]
) -> dict[SitePoint, Float[Tensor, "n d_in"]]:
    parts: dict[SitePoint, list[Tensor]] = {point: [] for point in points}
    for batch, found in iter_activations(bench.subject, contexts, points):
        for point, x in found.items():
            parts[point].append(x[batch.is_text.to(x.device)])
    return {point: torch.cat(parts.pop(point)) for point in points}


@contextmanager
def _reading(bench: Workbench, n_tokens: int, label: str, progress: Progress) -> Iterator[Iterator[PackedBatch]]:
    """The first `n_tokens` of the dictionary role, under a bar."""
    subject, total = bench.config.subject, min(n_tokens, bench.config.corpus.dictionary_tokens)
    batches = iter_training_batches(
        bench.subject,
        bench.corpus,
        max_tokens=total,
        context_tokens=subject.context_tokens,
        batch_contexts=subject.batch_contexts,
        packing=subject.packing,
        skip_first=subject.skip_first,
    )
    with progress.bar(label, total=total, unit="tok") as bar:

        def shown() -> Iterator[PackedBatch]:
            n_read = 0
            for batch in batches:
                yield batch
                n_read += batch.n_tokens
                bar.update(n_read)

        yield shown()
