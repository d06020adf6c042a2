"""The studies of `synthetic_studies` as parts of a paper's study: run or gone on with, and their rows as claims."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autointerp.stats.intervals import Interval
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.oneill2024.options import OneillOptions
from autointerp.studies.paper import Finding, Setting
from synthetic_studies.comparison import describe
from synthetic_studies.registry import open_study
from synthetic_studies.runner import choose_settings, read_study, run_study
from synthetic_studies.study import Row, Study

__all__ = [
    "Synthetic",
    "above",
    "find_kept",
    "measure_synthetic",
    "read_kept",
    "run_synthetic",
    "seed_gap",
    "seed_interval",
]

KEPT = Path("results/synth")
"""Where `autointerp synth --preset full` leaves its studies."""


@dataclass(frozen=True)
class Synthetic:
    """A synthetic study's settings and rows; `where` says whose."""

    study: Study
    settings: Any
    rows: Sequence[Row]
    where: str

    def finding(self, claims: Sequence[Claim], *, notes: Sequence[str] = ()) -> Finding:
        """Its rows, its values beside published ones, and its own figure."""
        name = self.study.name
        tables: dict[str, Sequence[Row]] = {name: self.rows}
        published = self.study.comparisons(self.rows, self.settings)
        if published:
            tables[f"{name}-published"] = [
                {"what": each.what, "published": each.published, "ours": each.ours.mean, "sd": each.ours.sd}
                | {"n_seeds": each.ours.n, "verdict": each.verdict}
                for each in published
            ]
            n_good = sum(each.is_reproduced for each in published)
            notes = [
                *notes,
                f"{n_good} of {len(published)} published values are met within 0.05 or two standard deviations.",
            ]
        return Finding(claims, tables, {name: self.study.figure(self.rows, self.settings)}, [*notes, self.about])

    @property
    def about(self) -> str:
        values = ", ".join(f"{key} {value}" for key, value in asdict(self.settings).items())
        return f"`autointerp synth {self.study.name}`, {self.where}, with {values}. Intervals are over seeds, by t."


def measure_synthetic(setting: Setting[OneillOptions], name: str) -> Synthetic:
    """The study of that name: the kept one of full size where that is wanted and there, else run at the recipe's."""
    return find_kept(setting, name) or run_synthetic(setting, name)


def find_kept(setting: Setting[OneillOptions], name: str) -> Synthetic | None:
    """The study in results/synth; None where it is not wanted or not there."""
    return read_kept(name) if name in setting.options.kept else None


def read_kept(name: str) -> Synthetic | None:
    if not (KEPT / name / "cells.jsonl").is_file():
        return None
    study = open_study(name)
    return Synthetic(study, study.full, read_study(study, folder=KEPT / name), f"as kept in {KEPT / name}")


def run_synthetic(setting: Setting[OneillOptions], name: str) -> Synthetic:
    """The study at the recipe's size, in a folder of its settings, so that others lie beside it."""
    study = open_study(name)
    settings = choose_settings(study, preset=setting.options.preset, overrides=setting.options.sizes.get(name, {}))
    key = hashlib.blake2b(json.dumps(asdict(settings), sort_keys=True).encode(), digest_size=4).hexdigest()
    result = run_study(
        study,
        settings,
        preset=setting.options.preset,
        folder=setting.runs / "synth" / f"{name}-{key}",
        command=f"autointerp study oneill2024, preset {setting.options.preset}",
        is_fresh=False,
        progress=setting.progress,
    )
    return Synthetic(study, settings, result.rows, "made for this page")


def seed_interval(values: Sequence[float]) -> Interval | None:
    """Mean over seeds and its 95% t-interval; None for fewer than two seeds."""
    if len(values) < 2:
        return None
    spread = describe(values)
    return Interval(spread.mean, spread.mean - spread.half_width, spread.mean + spread.half_width, spread.n)


def seed_gap(first: Sequence[Row], second: Sequence[Row], column: str) -> Interval | None:
    """First less second of the seeds that both have; several rows of a seed count by their mean."""
    a, b = (_by_seed(rows, column) for rows in (first, second))
    return seed_interval([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())])


def above(claim: str, theirs: str, gap: Interval | None, *, why: str = "", bound: float = 0.0) -> Claim:
    """A claim that holds where the whole interval of a difference lies above the bound."""
    return Claim(claim, theirs, render_interval(gap, ".3f"), verdict_of(gap, above=bound), why)


def _by_seed(rows: Sequence[Row], column: str) -> dict[int, float]:
    values: dict[int, list[float]] = {}
    for row in rows:
        values.setdefault(row["seed"], []).append(row[column])
    return {seed: sum(each) / len(each) for seed, each in values.items()}
