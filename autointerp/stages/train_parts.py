"""Dictionaries trained by several workers, each some of every site's, on the same activations: stored ones are written
once and read by all, streamed ones every worker makes itself. A dictionary does not depend on those beside it, so its
weights are those of one process.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import torch

from autointerp.config.loading import parse_config, render_config
from autointerp.config.sites import SitePoint
from autointerp.engine.engine import Engine, spread
from autointerp.engine.far_progress import FarProgress
from autointerp.engine.task import Share
from autointerp.progress import Progress
from autointerp.runs.layout import RunLayout
from autointerp.runs.remote import address_of, open_part
from autointerp.runs.shards import Shard
from autointerp.stages.site_activations import SiteActivations, open_sites
from autointerp.stages.site_training import store_activations, train_sites
from autointerp.stages.workbench import Workbench, open_workbench
from sae_core.distributed import ALONE
from sae_core.training.cohort import Configs, TrainedDictionary

__all__ = ["train_in_parts", "train_part"]

Trained = dict[SitePoint, dict[str, TrainedDictionary]]


def train_in_parts(
    engine: Engine,
    bench: Workbench,
    sites: Mapping[SitePoint, SiteActivations],
    configs: Mapping[SitePoint, Configs],
    layout: RunLayout,
    progress: Progress,
    *,
    origin: Mapping[str, str],
) -> Trained:
    """As `train_sites`, by the engine's workers."""
    shares = [share for index in range(engine.n_workers) if (share := _share(configs, index, engine.n_workers))]
    if len(shares) < 2:
        return train_sites(sites, configs, layout, progress, origin=origin, ranks=ALONE)
    if bench.config.train.activations != "stream":
        store_activations(sites, configs, layout, progress, origin=origin)
    dtype = str(bench.subject.dtype).removeprefix("torch.")
    place = address_of(layout.root, is_elsewhere=engine.is_elsewhere)
    common = (render_config(bench.config), place, dtype, dict(origin))
    parts = [(*common, share) for share in shares]
    found: Trained = {point: {} for point in configs}
    for part in spread(engine, train_part, parts, label="train", unit="tok", progress=progress, on_gpu=True):
        for point, trained in part.items():
            found[point] |= trained
    for point, trained in found.items():
        for each in trained.values():
            each.dictionary.to(bench.subject.device)
        found[point] = {name: trained[name] for name in configs[point]}
    return found


def train_part(
    share: Share,
    config: str,
    place: str | Path,
    dtype: str,
    origin: Mapping[str, str],
    configs: Mapping[SitePoint, Configs],
) -> Trained:
    """A worker's task: train these dictionaries."""
    bench, progress = open_workbench(parse_config(tomllib.loads(config))), FarProgress(share)
    bench.subject.dtype = getattr(torch, dtype)
    sites = open_sites(bench, list(configs), progress)
    shard = Shard(count=share.n, number=share.index + 1)
    layout, part = RunLayout(open_part(place, shard)), f".{shard.folder}"
    trained = train_sites(sites, configs, layout, progress, origin=origin, ranks=ALONE, part=part)
    for each in trained.values():
        for one in each.values():
            one.dictionary.cpu()
    return trained


def _share(configs: Mapping[SitePoint, Configs], index: int, n: int) -> dict[SitePoint, Configs]:
    """Every n-th trained dictionary of each site; what is only built there goes with the first."""
    share: dict[SitePoint, Configs] = {}
    for point, each in configs.items():
        trained = [name for name, (dictionary, _) in each.items() if dictionary.is_trained]
        mine = set(trained[index::n])
        built = each.keys() - set(trained) if index == 0 else set[str]()
        if mine:
            share[point] = {name: both for name, both in each.items() if name in mine | built}
    return share
