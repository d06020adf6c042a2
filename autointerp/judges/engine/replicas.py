"""Servers of one model: each has limits of its own, and requests that begin alike go to the same one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from autointerp.judges.engine.guarded import GuardedJudge
from autointerp.judges.engine.limits import Limiter
from autointerp.judges.judge import Judge, Request
from autointerp.seeds import derive

__all__ = ["Replica", "in_order", "replicas_of"]

_BEGINNING = 160
"""Characters of the last message that count as the beginning: within what is told of one feature."""


class Replica(NamedTuple):
    name: str
    judge: GuardedJudge
    limiter: Limiter


@runtime_checkable
class _Replicated(Protocol):
    @property
    def replicas(self) -> Sequence[Judge]: ...


def replicas_of(judge: Judge) -> Sequence[Judge]:
    """The judges that share its work: itself where it has no others."""
    return judge.replicas if isinstance(judge, _Replicated) else (judge,)


def in_order(replicas: Sequence[Replica], request: Request) -> Sequence[Replica]:
    """All replicas, the one for this request first; the others take over when it is gone.

    By rendezvous hashing (Thaler & Ravishankar 1998): a replica more or less moves only its own share of prompts.
    """
    if len(replicas) == 1:
        return replicas
    *before, last = (message.content for message in request.messages)
    beginning = derive(0, *before, last[:_BEGINNING])
    return sorted(replicas, key=lambda replica: derive(beginning, "replica", replica.name))
