"""The quality of a run's dictionaries on held-out text (the score role): reconstruction, density, loss recovered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.sites import SitePoint
from autointerp.harvest.firing import FiringRules
from autointerp.progress import Progress
from autointerp.runs.layout import RunLayout, write_text
from autointerp.stages.site_activations import SiteActivations
from autointerp.stages.workbench import Workbench
from autointerp.subject.activations import iter_activations
from autointerp.subject.fidelity import Fidelity, LossSample
from autointerp.subject.sinks import leave_out
from sae_core.crew import Crew
from sae_core.dictionary import Dictionary
from sae_core.quality import Quality, QualityMeter
from sae_core.ultralow import UltralowCluster, find_ultralow

__all__ = ["measure_dictionaries"]

# the share of the training tokens that are measured on by default, and its bounds: enough for intervals, and little
# beside training
SAMPLE_SHARE = 16
FEWEST_TOKENS, MOST_TOKENS = 16_384, 65_536
# the loss costs a pass for each dictionary
LOSS_SHARE = 4

# where dictionaries read and where they write: one site, but for transcoders
_Pair = tuple[SitePoint, SitePoint]

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

    One forward serves all sites. The loss is measured on the first quarter of the tokens. A transcoder is held against
    what stands where it writes.
    """
    pairs: dict[_Pair, list[DictionaryEntry]] = {}
    for point, entries in points.items():
        for entry in entries:
            pairs.setdefault((point, bench.out_point(entry, dictionaries[entry.name])), []).append(entry)
    meters, samples = _read_sample(bench, pairs, dictionaries, rules, sites, progress)
    for (point, out), entries in pairs.items():
        sparse = {entry.name: dictionaries[entry.name] for entry in entries if _is_spliced(dictionaries[entry.name])}
        sample = samples.pop((point, out))
        if point.layer and not sample.upper.first:
            progress.say(
                f"{point}: passes of {bench.subject.name} cannot begin at layer {point.layer}: whole ones are made"
            )
        with progress.bar(f"loss recovered {out}", unit="passes") as bar:
            fidelities = sample.fidelities(sparse, bar=bar)
        for entry in entries:
            quality, fidelity = meters.pop(entry.name).result(), fidelities.get(entry.name)
            facts: dict[str, Any] = {
                "kind": entry.kind,
                "site": str(point),
                "n_features": dictionaries[entry.name].n_features,
            }
            if out != point:
                facts["out_site"] = str(out)
            facts |= quality.to_json() | _loss_facts(fidelity)
            if cluster := find_ultralow(quality.density):
                facts["ultralow"] = asdict(cluster)
                progress.say(f"warning: {entry.name}: {_about_cluster(cluster)}")
            if origin := (origins or {}).get(entry.name):
                facts["origin"] = dict(origin)
            if (sinks := sites[point].sinks) is not None:
                facts["sinks"] = asdict(sinks)
            write_text(layout.quality(entry.name), json.dumps(facts, indent=2, sort_keys=True) + "\n")
            if fidelity is not None:
                progress.say(f"{entry.name}: {_in_short(quality, fidelity)}")
                if not quality.fvu <= ALARMING_FVU:
                    progress.say(
                        f"warning: {entry.name}: fvu {quality.fvu:.2f}: it does not reconstruct these activations; "
                        "check the model, the place and the scaling of activations it was made for"
                    )


def _is_spliced(dictionary: Dictionary) -> bool:
    """Whether its output can stand in for the activations of one place."""
    return not dictionary.is_dense and not dictionary.is_cross_layer


def _read_sample(
    bench: Workbench,
    pairs: Mapping[_Pair, Sequence[DictionaryEntry]],
    dictionaries: Mapping[str, Dictionary],
    rules: Mapping[str, FiringRules],
    sites: Mapping[SitePoint, SiteActivations],
    progress: Progress,
) -> tuple[dict[str, QualityMeter], dict[_Pair, LossSample]]:
    """Meters of all dictionaries that have seen the sample, and what the losses of each pair of sites start from."""
    wanted = bench.config.train.quality_tokens or sample_tokens(bench.config.corpus.dictionary_tokens)
    n_tokens = min(wanted, bench.tokens_per_role)
    meters = {
        entry.name: QualityMeter(dictionaries[entry.name], thresholds=rules[entry.name].threshold)
        for entries in pairs.values()
        for entry in entries
    }
    samples = {
        (point, out): LossSample(bench.subject, out, read=point, n_tokens=max(1, wanted // LOSS_SHARE))
        for point, out in pairs
    }
    read = sorted({each for pair, sample in samples.items() for each in (*pair, *sample.points)}, key=str)
    crew = Crew(max(map(len, pairs.values())), bench.subject.device)
    with progress.bar("quality", total=n_tokens, unit="tok") as bar:
        n_done = 0
        for batch, found in iter_activations(bench.subject, bench.evidence_batches("score", max_tokens=n_tokens), read):
            for (point, out), entries in pairs.items():
                # a sink of either site
                kept = leave_out(batch, found, sites[point].limit | sites[out].limit)
                is_text = kept.is_text.to(found[point].device)
                rows, targets = found[point][is_text], None if out == point else found[out][is_text]
                crew.run({entry.name: partial(meters[entry.name].add, rows, targets) for entry in entries})
                samples[point, out].add(kept, found)
            n_done += batch.n_tokens
            bar.update(n_done)
    return meters, samples


def sample_tokens(dictionary_tokens: int) -> int:
    """Held-out tokens that dictionaries trained on so many are measured on by default."""
    return min(max(dictionary_tokens // SAMPLE_SHARE, FEWEST_TOKENS), MOST_TOKENS)


def _loss_facts(fidelity: Fidelity | None) -> dict[str, Any]:
    if fidelity is None:
        return {}
    shares = {name: getattr(fidelity, name) for name in ("recovered_zero_frac", "recovered_mean_frac")}
    return {"fidelity": asdict(fidelity) | shares}


def _about_cluster(cluster: UltralowCluster) -> str:
    return (
        f"{cluster.live_frac:.0%} of the live features form an ultralow-density cluster (Bricken et al. 2023) and fire "
        f"on less than {cluster.limit:.2g} of the tokens; harvest.density = [{cluster.limit:.2g}, 1.0] draws others"
    )


def _in_short(quality: Quality, fidelity: Fidelity) -> str:
    recovered, interval = fidelity.recovered_zero_frac, fidelity.recovered_zero_interval
    share = "-" if recovered is None else f"{recovered:.3f}"
    if interval is not None:
        share += f" ({interval[0]:.3f} to {interval[1]:.3f})"
    return f"fvu {quality.fvu:.3f}, l0 {quality.l0:.1f}, dead {quality.dead_frac:.1%}, loss recovered {share}"
