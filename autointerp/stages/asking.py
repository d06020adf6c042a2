"""What the two stages that ask a judge share: the judge of a role as a client, and the progress of its work."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Protocol, TypeVar

from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.event_loop import run_async
from autointerp.explain.protocol import Explainer
from autointerp.judges.endpoint.probing import Probed
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client
from autointerp.judges.protocol import Capabilities, Judge
from autointerp.judges.registry import open_judge, open_plugin, split_spec
from autointerp.progress import Progress
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.reply_cache import default_cache_path, open_reply_cache
from autointerp.score.protocol import NeedsAbility, Scorer
from autointerp.stages.asking_display import AskingDisplay
from autointerp.workers import Progress as WorkProgress

__all__ = ["AskWith", "ask_with", "check_judges", "judge_options", "n_workers"]

T = TypeVar("T")

Step = Callable[[Client, Journal, Callable[[WorkProgress], None]], Coroutine[Any, Any, T]]


class AskWith(Protocol):
    """How a stage gets its work done with whoever answers: `ask_with`, or a rehearsal that sends nothing."""

    def __call__(
        self, spec: str, step: Step[T], *, config: Config, layout: RunLayout, progress: Progress, label: str
    ) -> T: ...


def check_judges(config: Config, layout: RunLayout) -> None:
    """Open and close the judges of both roles, and find explainer and scorers, so that a wrong name or option, or a
    scorer that its judge cannot answer, is told before any work is done."""
    for explainer in config.explain.explainers:
        open_plugin("autointerp.explainers", explainer.name, explainer, config.explain, protocol=Explainer)
    asking: dict[str, list[Scorer]] = {config.explain.judge: []}
    for settings in config.score.scorers:
        scorer = open_plugin("autointerp.scorers", settings.name, settings, config.score, protocol=Scorer)
        asking.setdefault(config.score.judge_of(settings), []).append(scorer)

    async def check(spec: str, scorers: Sequence[Scorer]) -> None:
        judge = open_judge(spec, judge_options(config, layout, spec))
        try:
            for scorer in scorers:
                _check_ability(scorer, spec, judge.capabilities)
        finally:
            await judge.aclose()

    for spec, scorers in asking.items():
        run_async(partial(check, spec, scorers))


def _check_ability(scorer: Scorer, spec: str, capabilities: Capabilities) -> None:
    if not isinstance(scorer, NeedsAbility) or getattr(capabilities, scorer.needed):
        return
    use = {
        "has_similarities": ("compares no texts", "embedding:MODEL, local_embedding:MODEL or bag_of_words"),
        "has_likelihoods": ("does not say how likely a text is", "local:MODEL"),
    }
    lacks, able = use[scorer.needed]
    raise ConfigError(
        f"score.scorers: judge '{spec}' {lacks}, which scorer '{scorer.name}' asks for; give the scorer a judge of its "
        f"own, such as judge = '{able}'"
    )


def judge_options(config: Config, layout: RunLayout, spec: str) -> Mapping[str, Any]:
    """The options of a judge: those of [judges.NAME], and for one that knows the labels, where they lie."""
    name, _ = split_spec(spec)
    options = dict(config.judges.get(name, {}))
    if name in {"oracle", "liar", "noisy"}:
        options.setdefault("evidence", str(layout.evidence))
    return options


def n_workers(config: Config, client: object) -> int:
    """Features worked on at once: as the limits say, and enough to fill the batches that a judge gathers itself."""
    stated = getattr(client, "capabilities", None)  # who only collects requests has none
    n_gathered = stated.max_concurrent if isinstance(stated, Capabilities) and stated.is_batching else 0
    return max(config.limits.n_workers, n_gathered)


def ask_with(spec: str, step: Step[T], *, config: Config, layout: RunLayout, progress: Progress, label: str) -> T:
    """Run one stage's work with a client for the judge `spec`: journal, shared cache, budget and limits around it.

    Raises RunStopped when a ceiling is reached or the judge cannot go on; what is done is in the journal then.
    """

    async def work() -> T:
        judge = open_judge(spec, judge_options(config, layout, spec))
        place = config.limits.cache and config.limits.cache / "replies.sqlite"
        shared = nullcontext(None) if judge.capabilities.is_local else open_reply_cache(place)
        behind = None if layout.shard is None else RunLayout(layout.root).journal
        with open_journal(layout.journal, behind=behind) as journal, shared as cache:
            before = journal.totals()
            budget = Budget(
                max_usd=config.limits.max_usd,
                max_requests=config.limits.max_requests,
                spent_usd=before.usd + before.lost_usd,
                n_requests=before.n_sent,
            )
            await _probe(judge, config=config, layout=layout, budget=budget, progress=progress)
            client = Client(judge, journal=journal, cache=cache, limits=config.limits, budget=budget)
            async with client:
                with progress.bar(label, unit="features") as bar:
                    shown = AskingDisplay(bar, client, budget, progress=progress, label=label, judge=spec)
                    result = await step(client, journal, shown.show)
        sent, kept = client.counters.n_sent, client.counters.n_from_journal + client.counters.n_from_cache
        progress.say(f"{label}: {sent:,} requests sent, {kept:,} answered from journal or cache, {shown.money}")
        return result

    return run_async(work)


async def _probe(judge: Judge, *, config: Config, layout: RunLayout, budget: Budget, progress: Progress) -> None:
    """Let a judge find out what its endpoint honours before the client takes down what it can do."""
    if not isinstance(judge, Probed):
        return
    cache = (config.limits.cache or default_cache_path().parent) / "probes"
    try:
        await judge.probe(run=layout.probes, cache=cache, budget=budget, say=progress.say)
    except BaseException:
        await judge.aclose()
        raise
