"""A judge that can be relied on: whatever the one inside does gives a reply that keeps the rules or an error of ours.

Knows nothing of journals, budgets or tries.
"""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import replace
from typing import Protocol, runtime_checkable

from autointerp.errors import JudgeError, JudgeRetry
from autointerp.judges.protocol import Capabilities, Judge, Reply, Request
from autointerp.judges.reply_rules import accept, is_price, judge_errors

__all__ = ["GuardedJudge"]


@runtime_checkable
class _Priced(Protocol):
    def bound_usd(self, request: Request) -> float | None:
        """The most a request can cost, or None when unknown: a judge may offer this beside `ask`."""
        ...


class GuardedJudge:
    """`judge`, given `timeout_s` for a reply (None: as long as it takes)."""

    def __init__(self, judge: Judge, *, timeout_s: float | None) -> None:
        self._judge, self._timeout_s = judge, timeout_s
        self.capabilities: Capabilities = judge.capabilities
        self._told: set[str] = set()

    async def ask(self, request: Request) -> Reply:
        """The reply as a run keeps it; asking a judge that is local costs nothing, which it need not say.

        Raises JudgeError or RunStopped and nothing else.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                with judge_errors():
                    answer = await self._judge.ask(request)
                    reply, breaches = accept(answer, request.task, model=self.capabilities.model)
        except TimeoutError:
            raise JudgeRetry(f"no reply within limits.timeout_s = {self._timeout_s}", is_overload=True) from None
        for breach in breaches:
            if breach.field not in self._told:
                self._told.add(breach.field)
                said = f"a reply of {self.capabilities.endpoint} is kept without its {breach.field}: {breach.words}"
                warnings.warn(said, RuntimeWarning, stacklevel=2)
        if self.capabilities.is_local and reply.usage.usd is None:
            return replace(reply, usage=replace(reply.usage, usd=0.0))
        return reply

    def bound_usd(self, request: Request) -> float | None:
        """The most the request can cost, None when nobody can say."""
        if not isinstance(self._judge, _Priced):
            return 0.0 if self.capabilities.is_local else None
        try:
            with judge_errors():
                bound_usd = self._judge.bound_usd(request)
        except JudgeError:
            return None
        return bound_usd if is_price(bound_usd) else None

    async def aclose(self) -> None:
        await self._judge.aclose()
