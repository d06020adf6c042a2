"""The judges of a run before any work is done: whether each can be made, can answer what is wanted, and is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from autointerp.builtin_plugins import EXPLAINERS, SCORERS
from autointerp.config.tree import Config
from autointerp.errors import ConfigError, JudgeError, JudgeRejected, JudgeRetry, JudgeStopped, LimitReached
from autointerp.event_loop import run_async
from autointerp.explain.opening import check_explainer_settings, open_explainer
from autointerp.explain.pairs import require_pairs
from autointerp.judges.endpoint.probing import Probed, told_when_silent
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.guarded import GuardedJudge
from autointerp.judges.judge import Capabilities, Judge, Message, Request
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask, ShownWindow, SimilarityTask, Task
from autointerp.plugins import open_judge
from autointerp.progress import Progress
from autointerp.runs.journal import read_journal
from autointerp.runs.layout import RunLayout
from autointerp.score.opening import check_scorer_settings, open_scorer
from autointerp.score.scorer import Scorer
from autointerp.stages.asking import budget_of, judge_options, probe

__all__ = ["check_judges", "check_settings", "greet_judges"]

# how often a connection is tried before nobody is said to be there
_N_TRIES, _PAUSE_S = 2, 0.3
_HELLO_TOKENS = 16


def check_settings(config: Config) -> None:
    """Check the settings of built-in explainers and scorers; plug-ins need not be installed yet."""
    for explainer in config.explain.explainers:
        if explainer.name in EXPLAINERS:
            check_explainer_settings(explainer)
    for scorer in config.score.scorers:
        if scorer.name in SCORERS:
            check_scorer_settings(scorer)


def check_judges(config: Config, layout: RunLayout) -> None:
    """Open and close the judges of both roles and find explainers and scorers.

    Raises ConfigError or PluginError for a wrong name or option, a judge that cannot answer a scorer, an explainer that
    cannot be paired with one.
    """

    async def check(spec: str, scorers: Sequence[Scorer]) -> None:
        judge = open_judge(spec, judge_options(config, layout, spec))
        try:
            for scorer in scorers:
                _check_ability(scorer, spec, judge.capabilities)
        finally:
            await judge.aclose()

    for explainer in config.explain.explainers:
        check_explainer_settings(explainer)
    explainers = [open_explainer(entry, config.explain) for entry in config.explain.explainers]
    asking: dict[str, list[Scorer]] = {config.explain.judge: []}
    for settings in config.score.scorers:
        check_scorer_settings(settings)
        scorer = open_scorer(settings, config.score)
        asking.setdefault(config.score.judge_of(settings), []).append(scorer)
    require_pairs(explainers, [scorer for scorers in asking.values() for scorer in scorers])
    for spec, scorers in asking.items():
        run_async(partial(check, spec, scorers))


def _check_ability(scorer: Scorer, spec: str, capabilities: Capabilities) -> None:
    if scorer.needed is None or getattr(capabilities, scorer.needed):
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


def greet_judges(
    config: Config, layout: RunLayout, stages: Collection[str], *, is_fresh: bool, progress: Progress
) -> None:
    """Ask the remote judges of `stages` one small question each, and what they honour.

    With `is_fresh` the content of `layout` does not count. Raises JudgeStopped for an endpoint that cannot be reached,
    refuses the key or knows no such model; a busy one passes.
    """
    run = None if is_fresh or not layout.is_run() else layout
    explains = {config.explain.judge} if "explain" in stages else set[str]()
    scores = set(config.score.judges) if "score" in stages else set[str]()

    async def greet(spec: str) -> None:
        judge = open_judge(spec, judge_options(config, layout, spec))
        try:
            if not judge.capabilities.is_local:
                request = _hello(judge.capabilities, is_scoring=spec in scores)
                await _Greeting(judge, request, _budget(config, run), config, run, progress).give()
        finally:
            await judge.aclose()

    for spec in sorted(explains | scores):
        run_async(partial(greet, spec))


def _budget(config: Config, run: RunLayout | None) -> Budget:
    if run is None or not run.journal.is_file():
        return budget_of(config, None)
    with read_journal(run.journal) as journal:
        return budget_of(config, journal)


def _hello(stated: Capabilities, *, is_scoring: bool) -> Request:
    """The smallest question of the kind that the judge will be asked."""
    task: Task = ExplainTask((ShownWindow(("one",), (1.0,)),), (), (), ())
    if stated.has_similarities:
        task = SimilarityTask("one", (Passage("one"),))
    elif is_scoring:
        task = ScoreTask("one", (Passage("one"),))
    return Request(task, (Message("user", "Say 1 and nothing else."),), max_tokens=_HELLO_TOKENS)


@dataclass(frozen=True, slots=True)
class _Greeting:
    judge: Judge
    request: Request
    budget: Budget
    config: Config
    # where what the judge honours is remembered
    run: RunLayout | None
    progress: Progress

    async def give(self) -> None:
        try:
            try:
                await self._ask()
                await self._probe()
            except JudgeRejected:
                if isinstance(self.judge, Probed):  # it may be how the question was put
                    await self._probe()
                    await self._ask()
        except LimitReached:
            return  # what is left of a ceiling is for the run
        except JudgeRejected as error:
            stated = self.judge.capabilities
            raise JudgeStopped(
                f"{stated.endpoint} refuses the plainest question to model '{stated.model}' ({error}); check both"
            ) from None
        except JudgeRetry:
            return  # it is there

    async def _probe(self) -> None:
        folder = None if self.run is None else self.run.probes
        await probe(self.judge, config=self.config, run=folder, budget=self.budget, say=self.progress.say)

    async def _ask(self) -> None:
        """Raises JudgeStopped where nobody answers, else as the judge does."""
        timeout_s, endpoint = self.config.limits.timeout_s, self.judge.capabilities.endpoint
        guarded, start = GuardedJudge(self.judge, timeout_s=timeout_s), time.monotonic()
        words = f"waiting for {endpoint} to answer a first small question, {timeout_s:.0f} s at most"
        with told_when_silent(self.progress.say, words):
            for n_left in reversed(range(_N_TRIES)):
                try:
                    await self._try(guarded)
                    return
                except JudgeRetry as error:
                    if time.monotonic() - start >= timeout_s:
                        raise JudgeStopped(
                            f"judge at {endpoint} did not answer a first small question within limits.timeout_s = "
                            f"{timeout_s:g}; check that it runs, or raise that"
                        ) from None
                    if not error.is_connection:
                        raise
                    if not n_left:
                        raise JudgeStopped(
                            f"judge at {endpoint} cannot be reached ({error}); check its address and that it runs"
                        ) from None
                await asyncio.sleep(_PAUSE_S)

    async def _try(self, guarded: GuardedJudge) -> None:
        reservation, usd = await self.budget.reserve(guarded.bound_usd(self.request)), None
        try:
            usd = (await guarded.ask(self.request)).usage.usd
        except JudgeError as error:
            usd = 0.0 if not isinstance(error, JudgeRetry) or error.is_unpaid else None
            raise
        finally:
            self.budget.settle(reservation, usd=usd)
