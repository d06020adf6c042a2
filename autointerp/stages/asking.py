"""What the two stages that ask a judge share: the judge of a role as a client, and the progress of its work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import nullcontext
from typing import Any, TypeVar

from autointerp.config.tree import Config
from autointerp.judges.budget import Budget
from autointerp.judges.client import Client
from autointerp.judges.registry import load_plugin, open_judge, split_spec
from autointerp.progress import Progress
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.reply_cache import open_reply_cache
from autointerp.workers import Progress as WorkProgress

__all__ = ["ask_with", "check_judges"]

T = TypeVar("T")

Step = Callable[[Client, Journal, Callable[[WorkProgress], None]], Coroutine[Any, Any, T]]


def check_judges(config: Config, layout: RunLayout) -> None:
    """Open and close the judges of both roles, and find explainer and scorers, so that a wrong name or option is told
    before any work is done."""
    load_plugin("autointerp.explainers", config.explain.explainer)
    for scorer in config.score.scorers:
        load_plugin("autointerp.scorers", scorer.name)

    async def check(spec: str) -> None:
        await open_judge(spec, judge_options(config, layout, spec)).aclose()

    for spec in dict.fromkeys((config.explain.judge, config.score.judge)):
        asyncio.run(check(spec))


def judge_options(config: Config, layout: RunLayout, spec: str) -> Mapping[str, Any]:
    """The options of a judge: those of [judges.NAME], and for one that knows the labels, where they lie."""
    name, _ = split_spec(spec)
    options = dict(config.judges.get(name, {}))
    if name in {"oracle", "liar", "noisy"}:
        options.setdefault("evidence", str(layout.evidence))
    return options


def ask_with(spec: str, step: Step[T], *, config: Config, layout: RunLayout, progress: Progress, label: str) -> T:
    """Run one stage's work with a client for the judge `spec`: journal, shared cache, budget and limits around it.

    Raises RunStopped when a ceiling is reached or the judge cannot go on; what is done is in the journal then.
    """

    async def work() -> T:
        judge = open_judge(spec, judge_options(config, layout, spec))
        place = config.limits.cache and config.limits.cache / "replies.sqlite"
        shared = nullcontext(None) if judge.capabilities.is_local else open_reply_cache(place)
        with open_journal(layout.journal) as journal, shared as cache:
            before = journal.totals()
            budget = Budget(
                max_usd=config.limits.max_usd,
                max_requests=config.limits.max_requests,
                spent_usd=before.usd,
                n_requests=before.n_sent,
            )
            client = Client(judge, journal=journal, cache=cache, limits=config.limits, budget=budget)
            async with client:
                with progress.bar(label, unit="features") as bar:
                    result = await step(client, journal, lambda state: bar.update(**_shown(state, client, budget)))
        sent, kept = client.counters.n_sent, client.counters.n_from_journal + client.counters.n_from_cache
        progress.say(
            f"{label}: {sent:,} requests sent, {kept:,} answered from journal or cache, ${budget.spent_usd:.2f}"
        )
        return result

    return asyncio.run(work())


def _shown(state: WorkProgress, client: Client, budget: Budget) -> dict[str, Any]:
    note = f"{client.counters.n_sent:,} sent ${budget.spent_usd:.2f}"
    if state.n_verdicts:
        note += f" {state.n_unparsed / state.n_verdicts:.1%} unparsed"
    return {"done": state.n_done, "total": state.n_features, "note": note}
