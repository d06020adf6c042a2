"""Both passes of the harvest by several workers, each a shard of the text: activations stay where they are made."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.config.loading import parse_config
from autointerp.engine.engine import Engine, spread
from autointerp.engine.far_progress import FarProgress
from autointerp.engine.task import Share, Task
from autointerp.harvest.passes import Harvest, OwnPasses
from autointerp.harvest.statistics import FeatureStatistics
from autointerp.harvest.windows import Plan
from autointerp.progress import Progress
from autointerp.runs.layout import RunLayout
from autointerp.runs.remote import open_part
from autointerp.runs.shards import Shard
from autointerp.score.presets import apply_preset
from autointerp.stages.kept_activations import evidence_subject
from autointerp.stages.run_dictionaries import open_dictionaries
from autointerp.stages.workbench import open_workbench

__all__ = ["SpreadPasses", "first_pass", "second_pass"]


@dataclass(frozen=True, slots=True)
class SpreadPasses:
    """`config`: the run's, as TOML."""

    engine: Engine
    config: str
    place: str | Path
    progress: Progress

    def statistics(self) -> dict[str, FeatureStatistics]:
        return self._merged(first_pass, "harvest: statistics")

    def windows(self, plans: Mapping[str, Plan], *, n_tokens: int | None) -> dict[str, Harvest]:
        return self._merged(second_pass, "harvest: windows", plans, n_tokens)

    def _merged(self, task: Task, label: str, *arguments: Any) -> dict[str, Any]:
        parts = [(self.config, self.place, *arguments)] * self.engine.n_workers
        found = spread(self.engine, task, parts, label=label, unit="tok", progress=self.progress, on_gpu=True)
        for part in found[1:]:
            for name, collected in part.items():
                found[0][name].merge(collected)
        return found[0]


def first_pass(share: Share, config: str, place: str | Path) -> dict[str, FeatureStatistics]:
    """A worker's task: the statistics of its shard."""
    return _open_passes(share, config, place).statistics()


def second_pass(
    share: Share, config: str, place: str | Path, plans: Mapping[str, Plan], n_tokens: int | None
) -> dict[str, Harvest]:
    """A worker's task: the windows of its shard."""
    return _open_passes(share, config, place).windows(plans, n_tokens=n_tokens)


def _open_passes(share: Share, config: str, place: str | Path) -> OwnPasses:
    tree, progress = apply_preset(parse_config(tomllib.loads(config))), FarProgress(share)
    layout = RunLayout(open_part(place, Shard(count=share.n, number=share.index + 1)))
    bench = open_workbench(tree)
    dictionaries = open_dictionaries(bench, layout)
    return OwnPasses(
        evidence_subject(bench, layout, {each.point for each in dictionaries.values()}, progress),
        dictionaries,
        bench.iter_evidence,
        tree.harvest,
        tree.seed,
        progress,
        2 * bench.tokens_per_role,
        (share.index, share.n),
    )
