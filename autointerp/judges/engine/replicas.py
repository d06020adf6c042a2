"""Servers of one model: each has limits of its own, and requests that begin alike go to the same one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol, runtime_checkable

from autointerp.errors import JudgeStopped, RunStopped
from autointerp.judges.engine.guarded import GuardedJudge
from autointerp.judges.engine.limits import Limiter, Waiting
from autointerp.judges.judge import Judge, Reply, Request
from autointerp.seeds import derive

__all__ = ["Replica", "Replicas", "replicas_of"]

_BEGINNING = 160
"""Characters of the last message that count as the beginning: within what is told of one feature."""


@runtime_checkable
class _Replicated(Protocol):
    @property
    def replicas(self) -> Sequence[Judge]: ...


def replicas_of(judge: Judge) -> Sequence[Judge]:
    """The judges that share its work: itself where it has no others."""
    return judge.replicas if isinstance(judge, _Replicated) else (judge,)


class Replica(NamedTuple):
    name: str
    judge: GuardedJudge
    limiter: Limiter


class Replicas:
    """Access to all of them. A run goes on while one may be asked."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = replicas

    @property
    def waiting(self) -> Waiting | None:
        """Reason why no answer comes; None while one of them is well."""
        waits = [replica.limiter.waiting for replica in self._replicas]
        return None if None in waits else waits[0]

    async def run(
        self, attempt: Callable[[Replica], Awaitable[Reply]], request: Request, *, key: str, prefix: str | None
    ) -> Reply:
        """First success, at the request's own replica, or the next where that is given up. Raises as `Limiter.run`."""
        *first, last = self._in_order(request)
        for replica in first:
            with suppress(JudgeStopped):
                return await replica.limiter.run(lambda: attempt(replica), key=key, prefix=prefix)  # noqa: B023
        return await last.limiter.run(lambda: attempt(last), key=key, prefix=prefix)

    def stop(self, reason: RunStopped) -> None:
        """Waiting requests raise `reason`; those in flight may finish."""
        for replica in self._replicas:
            replica.limiter.stop(reason)

    def raise_if_stopped(self) -> None:
        """Raises the reason when none may be asked any more."""
        if all(replica.limiter.is_stopped for replica in self._replicas):
            self._replicas[0].limiter.raise_if_stopped()

    def note_earlier_answer(self) -> None:
        for replica in self._replicas:
            replica.limiter.note_earlier_answer()

    def _in_order(self, request: Request) -> Sequence[Replica]:
        """By rendezvous hashing (Thaler & Ravishankar 1998): a replica more or less moves only its own share."""
        if len(self._replicas) == 1:
            return self._replicas
        *before, last = (message.content for message in request.messages)
        beginning = derive(0, *before, last[:_BEGINNING])
        return sorted(self._replicas, key=lambda replica: derive(beginning, "replica", replica.name))
