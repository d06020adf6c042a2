"""What the two stages that ask a judge share: the judge of a role as a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from autointerp.config.tree import Config
from autointerp.engine.task import Share
from autointerp.errors import Interrupted, JudgeError
from autointerp.event_loop import run_async
from autointerp.interruption import Interruption
from autointerp.judges.endpoint.probing import Probed
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client
from autointerp.judges.judge import Capabilities, Judge
from autointerp.judges.reply_rules import judge_errors
from autointerp.plugins import open_judge, split_spec
from autointerp.progress import Progress
from autointerp.prompting.one_window import PROMPT, OneWindow
from autointerp.prompting.templates import load_prompt
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.journal_reader import JournalReader, Totals
from autointerp.runs.layout import RunLayout
from autointerp.runs.reply_cache import default_cache_path, open_reply_cache
from autointerp.stages.asking_display import AskingDisplay
from autointerp.workers import Tally

__all__ = ["AskWith", "ask_with", "budget_of", "judge_options", "n_workers", "probe"]

_BEAT_S = 1.0

T = TypeVar("T")

Step = Callable[[Client, Journal, Callable[[Tally], None]], Coroutine[Any, Any, T]]


class AskWith(Protocol):
    """How a stage has its questions answered: `ask_with`, or a rehearsal that sends nothing."""

    def __call__(
        self, spec: str, step: Step[T], *, config: Config, layout: RunLayout, progress: Progress, label: str
    ) -> T: ...


def judge_options(config: Config, layout: RunLayout, spec: str) -> Mapping[str, Any]:
    """The options of [judges.NAME]; for a judge that knows the labels, also where the evidence lies."""
    name, _ = split_spec(spec)
    options = dict(config.judges.get(name, {}))
    if name in {"oracle", "liar", "noisy"}:
        options.setdefault("evidence", str(layout.evidence))
    return options


def n_workers(config: Config, client: object) -> int:
    stated = getattr(client, "capabilities", None)  # who only collects requests has none
    n_gathered = stated.max_concurrent if isinstance(stated, Capabilities) and stated.is_batching else 0
    # enough to fill the batches that a judge gathers itself
    return max(config.limits.n_workers, n_gathered)


def ask_with(
    spec: str,
    step: Step[T],
    *,
    config: Config,
    layout: RunLayout,
    progress: Progress,
    label: str,
    share: Share | None = None,
) -> T:
    """Run one stage's work with a client for the judge `spec`: journal, shared cache, budget and limits around it.

    `share`: of one of several workers, which ceilings and the endpoint's limits are then for together. The first
    SIGINT, SIGTERM or SIGHUP lets requests in flight finish and sends no more; the second ends at once. Raises
    RunStopped when a ceiling is reached, the judge cannot go on or a signal came; what is done is in the journal.
    """

    async def work(interruption: Interruption) -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        interruption.then(lambda _: loop.call_soon_threadsafe(task.cancel))
        judge = open_judge(spec, judge_options(config, layout, spec))
        place = config.limits.cache and config.limits.cache / "replies.sqlite"
        shared = nullcontext(None) if judge.capabilities.is_local else open_reply_cache(place)
        behind = None if layout.shard is None else RunLayout(layout.root).journal
        with open_journal(layout.journal, behind=behind) as journal, shared as cache:
            budget = budget_of(config, journal, share)
            try:
                await probe(judge, config=config, run=layout.probes, budget=budget, say=progress.say)
            except BaseException:
                await judge.aclose()
                raise
            client = Client(
                judge,
                journal=journal,
                cache=cache,
                limits=config.limits,
                budget=budget,
                splitting=OneWindow(),
                n_sharing=1 if share is None else share.n,
            )
            if judge.capabilities.is_small:
                progress.say(
                    f"{label}: a small model is asked window by window (prompt {PROMPT} {load_prompt(PROMPT).hash})"
                )

            def stop(reason: Interrupted) -> None:
                n, patience_s = client.counters.n_in_flight, client.patience_s
                if n:
                    wait = f"waiting up to {patience_s:.0f} s for {n:,} under way; once more to end at once"
                    progress.say(f"{label}: nothing more is asked, {wait}")
                client.stop(reason)

            interruption.then(lambda reason: loop.call_soon_threadsafe(stop, reason))
            async with client:
                with progress.bar(label, unit="features") as bar:
                    shown = AskingDisplay(bar, client, budget, progress=progress, label=label, judge=spec)
                    async with _beating(shown.beat):
                        result = await step(client, journal, shown.show)
            if share is not None:
                share.call("settle", budget.spent_usd, budget.n_requests)
        sent, kept = client.counters.n_sent, client.counters.n_from_journal + client.counters.n_from_cache
        progress.say(f"{label}: {sent:,} requests sent, {kept:,} answered from journal or cache, {shown.money}")
        return result

    with Interruption() as interruption:
        return run_async(partial(work, interruption))


@asynccontextmanager
async def _beating(beat: Callable[[], None]) -> AsyncIterator[None]:
    async def go_on() -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            beat()

    task = asyncio.ensure_future(go_on())
    try:
        yield
    finally:
        task.cancel()


def budget_of(config: Config, journal: JournalReader | None, share: Share | None = None) -> Budget:
    """What the config's ceilings leave, after what a journal holds; of a `share`, what the desk lends."""
    before = Totals() if journal is None else journal.totals()
    spent_usd, n_requests = before.usd + before.lost_usd, before.n_sent
    if share is not None:
        share.call("settle", spent_usd, n_requests)
    return Budget(
        max_usd=config.limits.max_usd,
        max_requests=config.limits.max_requests,
        spent_usd=spent_usd,
        n_requests=n_requests,
        lend=None if share is None else partial(share.call, "lend"),
    )


async def probe(judge: Judge, *, config: Config, run: Path | None, budget: Budget, say: Callable[[str], None]) -> None:
    """Let a judge find out what its endpoint honours. A failure other than a stop is only said."""
    if not isinstance(judge, Probed):
        return
    cache = None
    with suppress(RuntimeError):  # without HOME there is no such place
        cache = (config.limits.cache or default_cache_path().parent) / "probes"
    try:
        with judge_errors():
            await judge.probe(run=run, cache=cache, budget=budget, say=say)
    except JudgeError as error:
        say(f"{judge.capabilities.model} at {judge.capabilities.endpoint} could not be probed: {error}")
