"""One model at several addresses, such as `vllm serve` on each of several GPUs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autointerp.judges.endpoint.endpoint import OpenAIOptions
from autointerp.judges.endpoint.openai import OpenAIJudge
from autointerp.judges.engine.budget import Budget

__all__ = ["ReplicatedJudge"]


class ReplicatedJudge(OpenAIJudge):
    """The judge at `base_url`, which is probed and names the replies, with `replicas` that are asked as it is."""

    def __init__(self, model: str, *, options: OpenAIOptions) -> None:
        super().__init__(model, options=options)
        self._others = [
            OpenAIJudge(model, options=options.model_copy(update={"base_url": address, "replicas": ()}))
            for address in options.replicas
        ]

    @property
    def replicas(self) -> tuple[OpenAIJudge, ...]:
        """All servers, this one first."""
        return (self, *self._others)

    async def probe(self, *, run: Path | None, cache: Path | None, budget: Budget, say: Callable[[str], None]) -> None:
        await super().probe(run=run, cache=cache, budget=budget, say=say)
        for other in self._others:
            other.ask_as(self)

    async def aclose(self) -> None:
        await super().aclose()
        for other in self._others:
            await other.aclose()
