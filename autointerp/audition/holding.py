"""The holding of an audition, in a directory laid out as a run's.

The certificate is written last; the same call goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.audition.certificate import FILE, build_certificate, write_certificate
from autointerp.audition.exam import Exam, exam_settings
from autointerp.audition.grades import grade
from autointerp.audition.planting import DICTIONARY
from autointerp.audition.sitting import Sat, sit
from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.tree import Config
from autointerp.expected_judge import ASSUMED, Assumptions, ExpectedJudge
from autointerp.judges.engine.client import Client
from autointerp.judges.judge import Capabilities
from autointerp.plugins import open_judge
from autointerp.progress import Progress
from autointerp.records.evidence_file import write_evidence
from autointerp.runs.journal import Journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.stages.asking import ask_with, judge_options, n_workers
from autointerp.workers import Tally

__all__ = ["Estimate", "audition_config", "check_judge", "estimate", "folder_name", "hold"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """`usd` and `usd_max` (longest replies) are None without a price; tokens are estimated as by `autointerp plan`."""

    judge: str
    n_requests: int
    n_windows: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    usd_max: float | None
    notes: tuple[str, ...]


def audition_config(config: Config) -> Config:
    """Judges, limits and reply settings of a run, nothing else."""
    return Config(
        name="audition",
        dictionaries=(DictionaryEntry(name=DICTIONARY, kind="identity"),),
        score=exam_settings(config.score.model_copy(update={"want_logprobs": True})),
        limits=config.limits,
        judges=config.judges,
    )


def estimate(judge: str, exam: Exam, config: Config, *, assumed: Assumptions = ASSUMED) -> Estimate:
    """Before anything is sent. Raises PluginError or ConfigError for a wrong judge."""
    expected = ExpectedJudge.of(judge, config)
    requests = [asked.question.request for asked in exam.asked]
    said = expected.expect(DICTIONARY, "right", exam.scorers[0].name, len(requests), requests, assumed)
    return Estimate(
        judge=judge,
        n_requests=len(requests),
        n_windows=sum(len(asked.question.items) for asked in exam.asked),
        input_tokens=said["input_tokens"],
        output_tokens=said["output_tokens"],
        usd=said["usd"],
        usd_max=said["usd_max"],
        notes=tuple(expected.notes),
    )


def check_judge(judge: str, *, config: Config, out: Path) -> None:
    """Open and close a judge; raises for a wrong name, option or key."""

    async def check() -> None:
        await open_judge(judge, judge_options(config, RunLayout(out), judge)).aclose()

    asyncio.run(check())


def folder_name(judge: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", judge).strip("-.") or "judge"


def hold(judge: str, exam: Exam, *, config: Config, out: Path, progress: Progress) -> dict[str, Any]:
    """The certificate, also written in `out`.

    Raises RunStopped when a ceiling is reached or the judge cannot go on; answers are kept.
    """
    layout = RunLayout(out)
    stated: list[Capabilities] = []

    async def step(client: Client, journal: Journal, show: Callable[[Tally], None]) -> Sat:
        stated.append(client.capabilities)
        journal.forget_verdicts()
        journal.forget_explanations()
        return await sit(
            exam,
            client=client,
            judge=judge,
            n_workers=n_workers(config, client),
            recorder=journal,
            on_progress=show,
        )

    with RunLock(layout.lock, noun="audition"):
        write_evidence(layout.evidence_file(DICTIONARY), list(exam.evidences))
        sat = ask_with(judge, step, config=config, layout=layout, progress=progress, label=f"audition {judge}")
        grades = [
            grade((one for one in sat.answers if one.scorer == scorer.name), sat.bills[scorer.name])
            for scorer in exam.scorers
        ]
        certificate = build_certificate(judge, stated[0], exam, grades)
        write_certificate(layout.root / FILE, certificate)
    return certificate
