"""The quality of a run's dictionaries on held-out text (the score role): reconstruction, density, loss recovered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.sites import SitePoint
from autointerp.harvest.firing import FiringRules
from autointerp.progress import Progress
from autointerp.runs.layout import RunLayout, write_text
from autointerp.stages.site_activations import SiteActivations
from autointerp.stages.workbench import Workbench
from autointerp.subject.activations import iter_training_chunks
from autointerp.subject.fidelity import Fidelity, measure_fidelities
from autointerp.subject.packing import PackedBatch
from autointerp.subject.sinks import iter_without_sinks
from sae_core.dictionary import Dictionary
from sae_core.quality import Quality, QualityMeter

__all__ = ["measure_dictionaries"]

QUALITY_TOKENS = 65_536
FIDELITY_TOKENS = 16_384

# above it a dictionary hardly does better than the mean activation
ALARMING_FVU = 0.9


def measure_dictionaries(
    bench: Workbench,
    points: Mapping[SitePoint, Sequence[DictionaryEntry]],
    dictionaries: Mapping[str, Dictionary],
    rules: Mapping[str, FiringRules],
    layout: RunLayout,
    progress: Progress,
    *,
    sites: Mapping[SitePoint, SiteActivations],
    origins: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write `quality.json` of every dictionary and say a line about each sparse one. `origins` stands beside the
    figures.
    """
    heldout, few = (_batches(bench, n) for n in (QUALITY_TOKENS, FIDELITY_TOKENS))
    for point, entries in points.items():
        site = sites[point]
        meters = {
            entry.name: QualityMeter(dictionaries[entry.name], thresholds=rules[entry.name].threshold)
            for entry in entries
        }
        n_tokens = sum(batch.n_tokens for batch in heldout)
        with progress.bar(f"quality {point}", total=n_tokens, unit="tok") as bar:
            n_done = 0
            for chunk in iter_training_chunks(bench.subject, heldout, point, longest=site.longest):
                for meter in meters.values():
                    meter.add(chunk)
                n_done += chunk.shape[0]
                bar.update(n_done)
        sparse = {name: meter.dictionary for name, meter in meters.items() if not meter.dictionary.is_dense}
        with progress.bar(f"loss recovered {point}", unit="passes") as bar:
            kept = list(iter_without_sinks(bench.subject, few, site.limit))
            fidelities = measure_fidelities(bench.subject, sparse, point=point, batches=kept, bar=bar)
        for entry in entries:
            quality, fidelity = meters[entry.name].result(), fidelities.get(entry.name)
            facts: dict[str, Any] = {
                "kind": entry.kind,
                "site": str(point),
                "n_features": dictionaries[entry.name].n_features,
            }
            facts |= quality.to_json() | _loss_facts(fidelity)
            if origin := (origins or {}).get(entry.name):
                facts["origin"] = dict(origin)
            if site.sinks is not None:
                facts["sinks"] = asdict(site.sinks)
            write_text(layout.quality(entry.name), json.dumps(facts, indent=2, sort_keys=True) + "\n")
            if fidelity is not None:
                progress.say(f"{entry.name}: {_in_short(quality, fidelity)}")
                if not quality.fvu <= ALARMING_FVU:
                    progress.say(
                        f"warning: {entry.name}: fvu {quality.fvu:.2f}: it does not reconstruct these activations; "
                        "check the model, the place and the scaling of activations it was made for"
                    )


def _batches(bench: Workbench, n_tokens: int) -> list[PackedBatch]:
    return list(bench.evidence_batches("score", max_tokens=min(n_tokens, bench.tokens_per_role)))


def _loss_facts(fidelity: Fidelity | None) -> dict[str, Any]:
    if fidelity is None:
        return {}
    shares = {name: getattr(fidelity, name) for name in ("recovered_zero_frac", "recovered_mean_frac")}
    return {"fidelity": asdict(fidelity) | shares}


def _in_short(quality: Quality, fidelity: Fidelity) -> str:
    recovered = fidelity.recovered_zero_frac
    share = "-" if recovered is None else f"{recovered:.3f}"
    return f"fvu {quality.fvu:.3f}, l0 {quality.l0:.1f}, dead {quality.dead_frac:.1%}, loss recovered {share}"
