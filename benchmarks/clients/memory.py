"""How much memory a long run takes: the loop's workers score feature after feature, and the process looks at itself.

`python -m benchmarks.clients.memory ours BASE_URL JOB` answers like `worker`, JOB being the JSON of `MemoryJob`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.clients.worker import now
from benchmarks.judge_server import pin

if TYPE_CHECKING:
    from autointerp.workers import Work

__all__ = ["MemoryJob"]

_QUESTIONS = 4
_WINDOWS = 10


@dataclass(frozen=True)
class MemoryJob:
    """Ask until the last of these numbers of replies has come, and note the resident memory at each of them."""

    n_in_flight: int
    at: tuple[int, ...]
    core: int | None = None


async def _score(work: Work, feature: int) -> None:
    """What the loop does with one feature: its questions one after the other, then its verdicts."""
    from autointerp.records.verdict import Verdict
    from autointerp.runs.reply_record import Account
    from benchmarks.clients.ours import request_of

    account = Account("sae", "windows", "detection")
    verdicts: list[Verdict] = []
    for number in range(feature * _QUESTIONS, (feature + 1) * _QUESTIONS):
        await work.ask(request_of(number), account)
        verdicts += (
            Verdict(
                dictionary="sae",
                feature=feature,
                explainer="windows",
                scorer="detection",
                judge="openai:served",
                prompt_hash="0123456789abcdef",
                control=None,
                window=f"{number:012d}-{place}",
                kind="random",
                is_firing=bool(place % 2),
                answer="fires" if place % 3 else "silent",
            )
            for place in range(_WINDOWS)
        )
    work.add_verdicts(verdicts)
    work.finish_one()


async def _run(base_url: str, job: MemoryJob, folder: Path) -> dict[str, object]:
    from autointerp.config.asking import LimitsConfig
    from autointerp.judges.engine.budget import Budget
    from autointerp.judges.engine.client import Client
    from autointerp.plugins import open_judge
    from autointerp.runs.journal import open_journal
    from autointerp.runs.reply_cache import open_reply_cache
    from autointerp.workers import Tally, Work, run_steps

    resident: list[int] = []
    limits = LimitsConfig(max_concurrent=job.n_in_flight)
    judge = open_judge("openai:served", {"base_url": base_url, "key_env": ""})

    def look(tally: Tally) -> None:
        if len(resident) < len(job.at) and tally.n_requests >= job.at[len(resident)]:
            resident.append(_resident_bytes())

    with open_journal(folder / "journal.sqlite") as journal, open_reply_cache(folder / "cache.sqlite") as cache:
        async with Client(judge, journal=journal, cache=cache, limits=limits, budget=Budget()) as client:
            n_features = -(-job.at[-1] // _QUESTIONS)
            work = Work(client, "openai:served", journal, Tally(n_features), look, is_recorded_only=True)
            steps: Iterator[Callable[[], Awaitable[None]]] = (partial(_score, work, n) for n in range(n_features))
            _, cpu_before = now()
            await run_steps(work, steps, limits.n_workers)
            _, cpu_after = now()
        return {"resident_bytes": resident, "cpu_s": cpu_after - cpu_before, "n_verdicts": journal.totals().n_verdicts}


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = MemoryJob(**json.loads(sys.argv[3]))
    pin(job.core)
    os.nice(10)  # it takes minutes, and neither memory nor CPU seconds mind
    with tempfile.TemporaryDirectory() as place:
        answers.write(json.dumps(asyncio.run(_run(sys.argv[2], job, Path(place)))) + "\n")
        answers.flush()
