"""Workers that take many steps in turn, what they share, and what becomes of a step that fails."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from autointerp.errors import ArtefactError, RunStopped
from autointerp.event_loop import run_async
from autointerp.judges.engine.client import Client, Failure, Outcome
from autointerp.judges.judge import Reply, Request
from autointerp.records.verdict import NO_JUDGE, Explanation, Unscored, Verdict
from autointerp.runs.reply_record import Account

__all__ = ["Asker", "Recorder", "Tally", "Work", "guard", "run_steps", "run_with"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

# failures whose traceback was shown
_SHOWN: set[tuple[type[Exception], str, int | None]] = set()


class Asker(Protocol):
    """Whoever gets requests answered."""

    async def ask(self, request: Request, *, account: Account | None = None) -> Outcome: ...


@runtime_checkable
class HearsOfReadings(Protocol):
    """An asker that is told what became of its replies, and may then stop the run."""

    def note_reading(self, account: Account, request: Request, reply: Reply, *, is_readable: bool) -> None: ...

    def note_results(self, explainer: str, scorer: str | None, outcomes: Counter[str]) -> None: ...

    def require_results(self) -> None: ...


class Recorder(Protocol):
    """Whoever keeps results as they come."""

    def save_explanations(self, explanations: Iterable[Explanation]) -> None: ...

    def save_verdicts(self, verdicts: Iterable[Verdict]) -> None: ...

    def save_unscored(self, unscored: Iterable[Unscored]) -> None: ...

    def flush(self) -> None: ...


@dataclass(slots=True)
class Tally:
    """What is done: features (once per scorer), requests answered, and what their replies cost."""

    n_features: int
    n_done: int = 0
    n_requests: int = 0
    n_verdicts: int = 0
    n_unparsed: int = 0
    n_unscored: int = 0
    n_reasked: int = 0
    usd: float = 0.0
    n_unpriced: int = 0
    n_explanations: int = 0
    # explanations that could not be had, by explainer and reason
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(slots=True)
class Work:
    """What the workers of one call share."""

    client: Asker
    judge: str
    recorder: Recorder | None
    tally: Tally
    on_progress: Callable[[Tally], None] | None
    # results are only counted here, so that memory does not grow with the run
    is_recorded_only: bool = False
    explanations: list[Explanation] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    unscored: list[Unscored] = field(default_factory=list)

    def add_explanation(self, explanation: Explanation) -> None:
        self.tally.n_explanations += 1
        if explanation.failure is not None:
            self.tally.failures[explanation.explainer, explanation.failure] += 1
        if not self.is_recorded_only:
            self.explanations.append(explanation)
        if explanation.judge != NO_JUDGE and explanation.failure != "missing":
            self._note(explanation.explainer, None, [explanation.failure or "kept"])
        if self.recorder is not None:
            self.recorder.save_explanations([explanation])

    def add_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        self.tally.n_verdicts += len(verdicts)
        self.tally.n_unparsed += sum(verdict.answer == "unparsed" for verdict in verdicts)
        if verdicts:
            kept = ["kept" if v.answer in ("fires", "silent") else v.answer for v in verdicts]
            self._note(verdicts[0].explainer, verdicts[0].scorer, kept)
        if not self.is_recorded_only:
            self.verdicts += verdicts
        if self.recorder is not None:
            self.recorder.save_verdicts(verdicts)

    def add_unscored(self, unscored: Unscored) -> None:
        self.tally.n_unscored += 1
        if not self.is_recorded_only:
            self.unscored.append(unscored)
        if self.recorder is not None:
            self.recorder.save_unscored([unscored])

    async def ask(self, request: Request, account: Account) -> Outcome:
        """The outcome, counted, its price booked to `account`."""
        outcome = await self.client.ask(request, account=account)
        self.tally.n_requests += self.client.count(request) if isinstance(self.client, Client) else 1
        if not isinstance(outcome, Failure):
            self.tally.usd += outcome.usage.usd or 0.0
            self.tally.n_unpriced += outcome.usage.usd is None
        return outcome

    async def reask(self, request: Request, account: Account) -> Outcome:
        """As `ask`, again because a reply could not be read."""
        outcome = await self.ask(request, account)
        self.tally.n_reasked += 1
        return outcome

    def note_reading(self, account: Account, request: Request, reply: Reply, *, is_readable: bool) -> None:
        if isinstance(self.client, HearsOfReadings):
            self.client.note_reading(account, request, reply, is_readable=is_readable)

    def require_results(self) -> None:
        """Raises JudgeStopped when nothing at all came of what was asked."""
        if isinstance(self.client, HearsOfReadings):
            self.client.require_results()

    def _note(self, explainer: str, scorer: str | None, outcomes: Sequence[str]) -> None:
        if isinstance(self.client, HearsOfReadings):
            self.client.note_results(explainer, scorer, Counter(outcomes))

    def finish_one(self) -> None:
        self.tally.n_done += 1
        if self.on_progress is not None:
            self.on_progress(self.tally)


async def guard(name: str, step: Awaitable[T]) -> T | None:
    """The step's result, None when it fails: a feature's failure never ends the run."""
    try:
        return await step
    except (RunStopped, ArtefactError):
        raise
    except Exception as error:  # noqa: BLE001  # anything else would let one feature end the run
        # a stranger's explainer or scorer that fails on every feature fails in one place: that is shown once
        frames = traceback.extract_tb(error.__traceback__)
        place = (type(error), frames[-1].filename, frames[-1].lineno)
        _log.warning("%s failed", name, exc_info=place not in _SHOWN)
        _SHOWN.add(place)
        return None


async def run_steps(work: Work, steps: Iterable[Callable[[], Awaitable[None]]], n_workers: int) -> None:
    """Take the steps `n_workers` at a time; the first to stop the run ends the others, and all is flushed."""
    waiting = iter(steps)

    async def take() -> None:
        for step in waiting:
            await step()

    workers = [asyncio.ensure_future(take()) for _ in range(max(1, n_workers))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        if work.recorder is not None:
            work.recorder.flush()


def run_with(open_client: Callable[[], Client], work: Callable[[Client], Awaitable[T]]) -> T:
    """The result of `work` with a client opened around it, for callers that are not asynchronous."""

    async def inside() -> T:
        async with open_client() as client:
            return await work(client)

    return run_async(inside)
