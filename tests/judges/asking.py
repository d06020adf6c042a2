"""A process that asks question after question, to be killed at any moment: `python asking.py JOURNAL BASE_URL N`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client
from autointerp.plugins import open_judge
from autointerp.runs.journal import open_journal
from tests.judges.questions import FAST, limits, question


async def ask_all(journal_path: Path, base_url: str, n_questions: int) -> None:
    judge = open_judge("openai:m", {"base_url": base_url, "key_env": ""})
    with open_journal(journal_path) as journal:
        client = Client(judge, journal=journal, cache=None, limits=limits(), budget=Budget(), schedule=FAST)
        async with client:
            await asyncio.gather(*(client.ask(question(f"q{i}")) for i in range(n_questions)))


if __name__ == "__main__":
    asyncio.run(ask_all(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
