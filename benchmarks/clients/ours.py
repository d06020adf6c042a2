"""This package's engine as in a run: judge `openai` in a `Client`, every reply journalled and shared by a cache."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from autointerp.config.asking import LimitsConfig
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client, Failure
from autointerp.judges.judge import Message, Request
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.plugins import open_judge
from autointerp.runs.journal import open_journal
from autointerp.runs.reply_cache import open_reply_cache
from autointerp.runs.reply_record import Account
from benchmarks.clients.prompts import MAX_TOKENS, SYSTEM, user
from benchmarks.clients.worker import Ask

DISTRIBUTION = ""

_TASK = ScoreTask("an explanation", (Passage("a passage"),))


def request_of(number: int) -> Request:
    """Question `number` as a scorer would put it."""
    return Request(_TASK, (Message("system", SYSTEM), Message("user", user(number))), max_tokens=MAX_TOKENS)


@asynccontextmanager
async def open_client(base_url: str, n_in_flight: int) -> AsyncIterator[Ask]:
    """Ask by number."""
    with tempfile.TemporaryDirectory() as folder:
        judge = open_judge("openai:served", {"base_url": base_url, "key_env": ""})
        with (
            open_journal(Path(folder) / "journal.sqlite") as journal,
            open_reply_cache(Path(folder) / "cache") as cache,
        ):
            limits = LimitsConfig(max_concurrent=n_in_flight)
            async with Client(judge, journal=journal, cache=cache, limits=limits, budget=Budget()) as client:

                async def ask(number: int) -> str:
                    outcome = await client.ask(request_of(number), account=Account("sae", "windows", "detection"))
                    if isinstance(outcome, Failure):
                        raise RuntimeError(outcome.message)
                    return outcome.text

                yield ask
