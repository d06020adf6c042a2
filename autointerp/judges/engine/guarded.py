"""A judge whose replies keep the rules and whose errors are this package's."""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import replace
from typing import Protocol, runtime_checkable

from autointerp.errors import JudgeError, JudgeRetry
from autointerp.judges.judge import Capabilities, Judge, Reply, Request
from autointerp.judges.reply_rules import accept, is_price, judge_errors

__all__ = ["GuardedJudge"]


@runtime_checkable
class _Priced(Protocol):
    def bound_usd(self, request: Request) -> float | None:
        """Most a request can cost; None when unknown."""
        ...


class GuardedJudge:
    """Wraps `judge`, with a time-out of `timeout_s` (None: unlimited)."""

    def __init__(self, judge: Judge, *, timeout_s: float | None) -> None:
        self._judge, self._timeout_s = judge, timeout_s
        self._priced = judge if isinstance(judge, _Priced) else None
        self.capabilities: Capabilities = judge.capabilities
        self._told: set[str] = set()

    async def ask(self, request: Request) -> Reply:
        """Valid reply; local judges cost 0. Raises only JudgeError or RunStopped."""
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

    @property
    def doing(self) -> str:
        """What the judge is at just now, where it says so."""
        return str(getattr(self._judge, "doing", ""))

    def bound_usd(self, request: Request) -> float | None:
        if self._priced is None:
            return 0.0 if self.capabilities.is_local else None
        try:
            with judge_errors():
                bound_usd = self._priced.bound_usd(request)
        except JudgeError:
            return None
        return bound_usd if is_price(bound_usd) else None

    async def aclose(self) -> None:
        await self._judge.aclose()
