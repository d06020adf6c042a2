"""Holding an audition: exam, journal, cache, budget and judge brought together, and the certificate written last.

An audition's directory is laid out as a run's (`evidence/`, `journal.sqlite`), so `autointerp journal` reads it, and
the same command goes on where it stopped. Prints nothing itself.
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
from autointerp.audition.marks import mark
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
    """What an exam asks of a judge. `usd` and `usd_max` (replies as long as they may be) are None where no price is
    known; tokens are estimated as `autointerp plan` does."""

    judge: str
    n_requests: int
    n_windows: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    usd_max: float | None
    notes: tuple[str, ...]


def audition_config(config: Config) -> Config:
    """The config of an audition: the judges' options, limits and reply settings of a run's, and nothing else of it."""
    return Config(
        name="audition",
        dictionaries=(DictionaryEntry(name=DICTIONARY, kind="identity"),),
        score=exam_settings(config.score.model_copy(update={"want_logprobs": True})),
        limits=config.limits,
        judges=config.judges,
    )


def estimate(judge: str, exam: Exam, config: Config, *, assumed: Assumptions = ASSUMED) -> Estimate:
    """What the exam costs at most, before anything is sent. Raises PluginError or ConfigError for a wrong judge."""
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
    """Open and close a judge, so that a wrong name, option or key is told before any other is asked."""

    async def check() -> None:
        await open_judge(judge, judge_options(config, RunLayout(out), judge)).aclose()

    asyncio.run(check())


def folder_name(judge: str) -> str:
    """A judge's specification as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", judge).strip("-.") or "judge"


def hold(judge: str, exam: Exam, *, config: Config, out: Path, progress: Progress) -> dict[str, Any]:
    """Let a judge sit the exam in the directory `out`; gives the certificate, which is written there.

    Raises RunStopped when a ceiling is reached or the judge cannot go on: what is answered is kept, no certificate is
    written, and the same call goes on.
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
        marks = [
            mark((one for one in sat.answers if one.scorer == scorer.name), sat.bills[scorer.name])
            for scorer in exam.scorers
        ]
        certificate = build_certificate(judge, stated[0], exam, marks)
        write_certificate(layout.root / FILE, certificate)
    return certificate
