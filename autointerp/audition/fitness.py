"""Which judges their recorded exams found fit to judge: above chance under a scorer at least."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from autointerp.audition.certificate import FILE, read_certificate
from autointerp.config.tree import Config
from autointerp.errors import ArtefactError, ConfigError
from autointerp.event_loop import run_async
from autointerp.plugins import open_judge, split_spec
from autointerp.runs.layout import RunLayout
from autointerp.stages.asking import judge_options

__all__ = ["AUDITIONS", "Fitness", "recorded_fitness", "refuse_unfit"]

AUDITIONS = Path("results/auditions")
"""Where auditions are kept if nothing else is said."""
_CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class Fitness:
    """Balanced accuracy of a judge by scorer, as in its certificate: mean, lo, hi; None where unknown. `variant` is
    that of its capabilities, None in certificates without it.
    """

    judge: str
    variant: str | None
    balanced_accuracy: Mapping[str, Mapping[str, float] | None]
    place: Path

    @property
    def is_fit(self) -> bool:
        return any(interval is not None and interval["lo"] > _CHANCE for interval in self.balanced_accuracy.values())

    @property
    def words(self) -> str:
        said = [
            f"{scorer} -" if own is None else f"{scorer} {own['mean']:.3f} [{own['lo']:.2f}, {own['hi']:.2f}]"
            for scorer, own in self.balanced_accuracy.items()
        ]
        verdict = "fit to judge" if self.is_fit else "not fit to judge"
        return f"{self.judge}: {verdict}, balanced accuracy {', '.join(said)} ({self.place})"


def recorded_fitness(folder: Path = AUDITIONS) -> list[Fitness]:
    """Of every readable certificate in the folder's folders, by judge."""
    found = []
    for file in sorted(folder.glob(f"*/{FILE}")):
        try:
            certificate = read_certificate(file)
        except ArtefactError:
            continue
        found.append(_fitness(certificate, file.parent))
    return sorted(found, key=lambda one: one.judge)


def refuse_unfit(config: Config, layout: RunLayout, *, folder: Path = AUDITIONS) -> None:
    """Raise ConfigError for a model that is to score and was at chance in its recorded exam, asked with the same
    options, unless score.accept_unfit says otherwise.
    """
    if config.score.accept_unfit:
        return
    unfit = [one for one in recorded_fitness(folder) if not one.is_fit]
    for one in unfit:
        if one.judge not in config.score.judges or split_spec(one.judge)[1] is None:
            continue
        if one.variant in (None, run_async(partial(_variant, config, layout, one.judge))):
            raise ConfigError(
                f"judge {one.words}; let another judge score, or use it anyway with score.accept_unfit = true"
            )


async def _variant(config: Config, layout: RunLayout, spec: str) -> str:
    judge = open_judge(spec, judge_options(config, layout, spec))
    await judge.aclose()
    return judge.capabilities.variant


def _fitness(certificate: Mapping[str, Any], place: Path) -> Fitness:
    grades: Mapping[str, Mapping[str, Any]] = certificate["marks"]
    return Fitness(
        judge=certificate["judge"],
        variant=certificate.get("variant"),
        balanced_accuracy={scorer: own.get("balanced_accuracy") for scorer, own in grades.items()},
        place=place,
    )
