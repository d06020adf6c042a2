"""A judge in a run: journal first, then shared cache, then budget, limits and the judge itself.

Every paid reply is recorded before anybody sees it, and every attempt that may have cost money.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Literal, Protocol

from autointerp.config.asking import LimitsConfig
from autointerp.errors import JudgeError, JudgeRetry, JudgeStopped, LimitReached, RunStopped
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.guarded import GuardedJudge
from autointerp.judges.engine.limits import Limiter, RetrySchedule, Waiting
from autointerp.judges.engine.readings import Readings
from autointerp.judges.engine.replicas import Replica, Replicas, replicas_of
from autointerp.judges.judge import Capabilities, Judge, RateLimits, Reply, Request
from autointerp.judges.reply_key import reply_from_record, reply_key, reply_to_record, shared_key
from autointerp.judges.reply_rules import BrokenReply
from autointerp.runs.journal import Journal
from autointerp.runs.reply_cache import ReplyCache
from autointerp.runs.reply_record import Account, FailedAttempt, ReplyRecord

__all__ = ["Client", "Counters", "Failure", "Outcome", "Splitting"]

_GRACE_S = 30.0
"""Wait of `aclose` for requests without a time-out; others end by theirs."""


_MOST_MESSAGE = 2_000
"""Characters of an error that are kept."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The judge declined (`refused`) or every attempt failed (`error`)."""

    kind: Literal["refused", "error"]
    message: str


Outcome = Reply | Failure


class Splitting(Protocol):
    """How requests about several windows are put one window at a time."""

    def count(self, request: Request) -> int:
        """Number of questions that a request is put as."""
        ...

    def split(self, request: Request) -> tuple[Request, ...]:
        """These questions, or none where the request is put as it is."""
        ...

    def join(self, outcomes: Sequence[Outcome]) -> Outcome: ...


@dataclass(slots=True)
class Counters:
    """Counts of a client's work: `n_sent` are attempts, `usd` is the cost of this session."""

    n_asked: int = 0
    n_sent: int = 0
    n_from_journal: int = 0
    n_from_cache: int = 0
    n_shared: int = 0
    """Answered together with the same request in flight."""
    n_retries: int = 0
    n_refused: int = 0
    n_errors: int = 0
    n_in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0


class Client:
    """One judge in one run, for one event loop."""

    def __init__(
        self,
        judge: Judge,
        *,
        journal: Journal,
        cache: ReplyCache | None,
        limits: LimitsConfig,
        budget: Budget,
        schedule: RetrySchedule | None = None,
        splitting: Splitting | None = None,
        n_sharing: int = 1,
    ) -> None:
        """`cache` is ignored for a local or unshared judge, and only written to with `limits.reuse` off; `splitting`,
        for one that is not small; `n_sharing`, the processes that ask the same endpoint, for a local one.
        """
        self.capabilities: Capabilities = judge.capabilities
        self._journal, self._budget, self._cache = journal, budget, cache
        is_batching, n_most = self.capabilities.is_batching, self.capabilities.max_concurrent
        self._timeout_s, self._is_reusing = None if is_batching else limits.timeout_s, limits.reuse
        judges = replicas_of(judge)

        def limiter_of(endpoint: str) -> Limiter:
            return Limiter(
                endpoint=endpoint,
                n_concurrent=n_most if is_batching else min(limits.max_concurrent // len(judges), n_most),
                n_start=n_most if is_batching else None,
                schedule=schedule or RetrySchedule(max_attempts=limits.max_attempts),
                meter=_meter,
                is_warmed_up=not (self.capabilities.is_local or is_batching),
                n_sharing=1 if self.capabilities.is_local else n_sharing,
            )

        self._judge = GuardedJudge(judge, timeout_s=self._timeout_s)
        guarded = [GuardedJudge(each, timeout_s=self._timeout_s) for each in judges]
        names = [each.capabilities.endpoint for each in judges]
        self._replicas = Replicas([Replica(*both, limiter_of(both[0])) for both in zip(names, guarded, strict=True)])
        self._splitting = splitting if self.capabilities.is_small else None
        self._in_flight: dict[str, asyncio.Task[Outcome]] = {}
        self._readings = Readings(f"{self.capabilities.model} at {self.capabilities.endpoint}")
        self._is_stopping = False
        self.counters = Counters()

    @property
    def waiting(self) -> Waiting | None:
        """Reason why no answer comes; None while all is well."""
        return self._replicas.waiting

    @property
    def doing(self) -> str:
        """What a judge in this process is at just now."""
        return self._judge.doing if self.counters.n_in_flight else ""

    def count(self, request: Request) -> int:
        """Number of questions that a request is put as."""
        return 1 if self._splitting is None else self._splitting.count(request)

    async def ask(self, request: Request, *, account: Account | None = None) -> Outcome:
        """Outcome of one request, which a small judge is asked window by window; raises as `_ask`."""
        parts = () if self._splitting is None else self._splitting.split(request)
        if self._splitting is None or not parts:
            return await self._ask(request, account)
        windows = account.windows if account is not None and len(account.windows) == len(parts) else None
        accounts = [
            account if account is None or windows is None else account._replace(windows=windows[i : i + 1])
            for i in range(len(parts))
        ]
        outcomes = await asyncio.gather(*map(self._ask, parts, accounts))
        return self._splitting.join(outcomes)

    async def _ask(self, request: Request, account: Account | None) -> Outcome:
        """Outcome of one question; its cost goes to `account`, even if others share the reply.

        Raises RunStopped (a ceiling, a wrong key, a dead endpoint, unreadable replies), ArtefactError when the journal
        cannot be written. Cancelling the caller does not cancel a sent request: its reply is recorded.
        """
        if self._is_stopping:
            self._replicas.raise_if_stopped()
        self.counters.n_asked += 1
        key = reply_key(self.capabilities, request)
        if account is not None:
            self._journal.charge(key, account)
        running = self._in_flight.get(key)
        if running is not None:
            self.counters.n_shared += 1
            return await asyncio.shield(running)
        record = self._find(key)
        if record is not None:
            self._replicas.note_earlier_answer()
            return self._outcome(reply_from_record(record))
        self._replicas.raise_if_stopped()
        if account is not None and (why := self._readings.hopeless(account)) is not None:
            self.stop(JudgeStopped(f"{why}; what is done is kept"))
            self._replicas.raise_if_stopped()
        task = asyncio.ensure_future(self._send(request, key))
        self._in_flight[key] = task
        task.add_done_callback(lambda done: self._finish(key, done))
        # shielded: who stops waiting must not cancel what is paid for
        return await asyncio.shield(task)

    def note_reading(self, account: Account, request: Request, reply: Reply, *, is_readable: bool) -> None:
        """Note whether a reply was readable; unreadable first replies end the run."""
        self._readings.note_reply(account, request, reply, is_readable=is_readable)

    def note_results(self, explainer: str, scorer: str | None, outcomes: Counter[str]) -> None:
        """Count results, `kept` or lost by kind of loss."""
        self._readings.note_results(explainer, scorer, outcomes)

    def require_results(self) -> None:
        """Raises JudgeStopped when no result came of all requests."""
        why = self._readings.useless()
        if why is not None:
            raise JudgeStopped(f"{why}; what is done is kept")

    def stop(self, reason: RunStopped) -> None:
        """Waiting requests raise `reason`; those in flight may finish."""
        self._is_stopping = True
        self._replicas.stop(reason)

    @property
    def patience_s(self) -> float:
        """How long `aclose` waits at most."""
        return self._timeout_s or _GRACE_S

    async def aclose(self) -> None:
        """Close after requests in flight, so that no paid reply is lost."""
        self.stop(RunStopped("the client was closed"))
        if self._in_flight:
            _, late = await asyncio.wait(list(self._in_flight.values()), timeout=self.patience_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        try:
            if self._cache is not None:
                self._journal.flush()  # only then is the cache given what it holds
        finally:
            await self._judge.aclose()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _find(self, key: str) -> ReplyRecord | None:
        record = self._journal.find_reply(key)
        if record is not None:
            self.counters.n_from_journal += 1
            return record
        shared = shared_key(self.capabilities, key) if self._is_reusing else None
        record = self._cache.find(shared) if self._cache is not None and shared is not None else None
        if record is not None:
            self.counters.n_from_cache += 1
            record = replace(record, key=key, source="cache", at=time.time())
            self._journal.record_reply(record)
        return record

    async def _send(self, request: Request, key: str) -> Outcome:
        n_attempts = 0

        async def attempt(replica: Replica) -> Reply:
            nonlocal n_attempts
            n_attempts += 1
            self.counters.n_retries += n_attempts > 1
            return await self._attempt(replica, request, key, n_attempts)

        try:
            reply = await self._replicas.run(attempt, request, key=key, prefix=_prefix(request))
        except JudgeError as error:
            self.counters.n_errors += 1
            return Failure("error", str(error))
        return self._outcome(reply)

    async def _attempt(self, replica: Replica, request: Request, key: str, number: int) -> Reply:
        """One attempt within the budget."""
        bound_usd = self._judge.bound_usd(request)
        reservation = await self._budget.reserve(bound_usd)
        try:
            replica.limiter.raise_if_stopped()  # it may have been while this waited for room
        except RunStopped:
            self._budget.cancel(reservation)
            raise
        start, usd = time.perf_counter(), None
        self.counters.n_sent += 1
        self.counters.n_in_flight += 1
        try:
            reply = await replica.judge.ask(request)
            usd = reply.usage.usd
        except (JudgeError, RunStopped) as error:
            # a server may have worked, and charged, although no reply came: without a price the budget books the bound
            if not isinstance(error, JudgeRetry) or error.is_unpaid:
                usd = 0.0
            lost_usd = reservation.bound_usd if usd is None else 0.0
            self._record_failure(error, key, number, time.perf_counter() - start, usd_at_most=lost_usd)
            if isinstance(error, BrokenReply) and bound_usd is None:
                self._require_price()
            raise
        except asyncio.CancelledError:
            error = JudgeRetry("no reply before the client was closed")
            self._record_failure(error, key, number, time.perf_counter() - start, usd_at_most=reservation.bound_usd)
            raise
        finally:
            self.counters.n_in_flight -= 1
            self._budget.settle(reservation, usd=usd)
        unpriced_usd = reservation.bound_usd if usd is None else 0.0
        self._record(reply, request, key, number, time.perf_counter() - start, usd_at_most=unpriced_usd)
        if usd is None and bound_usd is None:
            self._require_price()
        return reply

    def _require_price(self) -> None:
        """Raises LimitReached under a ceiling on money, impossible to keep without prices."""
        if self._budget.max_usd is not None:
            raise LimitReached(
                f"limits.max_usd = {self._budget.max_usd:g} cannot be kept: {self.capabilities.endpoint} states no "
                "price; give the judge's options its prices per million tokens, or drop limits.max_usd"
            )

    def _record(
        self, reply: Reply, request: Request, key: str, n_attempts: int, latency_s: float, *, usd_at_most: float
    ) -> None:
        usage, counters = reply.usage, self.counters
        counters.usd += usage.usd or 0.0
        counters.input_tokens += usage.input_tokens
        counters.output_tokens += usage.output_tokens
        record = reply_to_record(
            reply,
            request,
            key=key,
            capabilities=self.capabilities,
            latency_s=latency_s,
            n_attempts=n_attempts,
            at=time.time(),
        )
        shared = shared_key(self.capabilities, key)
        then = None if self._cache is None or shared is None else partial(self._cache.store, key=shared)
        self._journal.record_reply(record, usd_at_most=usd_at_most, then=then)

    def _record_failure(
        self, error: JudgeError | RunStopped, key: str, number: int, latency_s: float, *, usd_at_most: float
    ) -> None:
        self._journal.record_failure(
            FailedAttempt(
                key=key,
                attempt=number,
                error_class=type(error).__name__,
                message=str(error)[:_MOST_MESSAGE],
                latency_s=latency_s,
                at=time.time(),
                usd_at_most=usd_at_most,
            )
        )

    def _outcome(self, reply: Reply) -> Outcome:
        if reply.finish == "refused":
            self.counters.n_refused += 1
            return Failure("refused", reply.text or "the judge declined to answer")
        return reply

    def _finish(self, key: str, done: asyncio.Task[Outcome]) -> None:
        del self._in_flight[key]
        if not done.cancelled():
            done.exception()  # somebody may have stopped waiting for it; then it is nobody's


def _meter(reply: Reply) -> tuple[RateLimits | None, int]:
    """Remaining rate limits and tokens used."""
    return reply.rate_limits, reply.usage.input_tokens + reply.usage.output_tokens


def _prefix(request: Request) -> str | None:
    # prompts begin with what they share
    return request.messages[0].content if len(request.messages) > 1 else None
