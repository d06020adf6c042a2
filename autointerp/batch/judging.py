"""Judges that can be asked by batch file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.judges.judge import Capabilities, Reply, Request
from autointerp.plugins import open_judge, split_spec
from autointerp.runs.layout import RunLayout
from autointerp.stages.asking import judge_options

__all__ = ["BATCH_STAGES", "BatchJudge", "judge_of", "open_batch_judge"]

BATCH_STAGES = ("explain", "score")
"""Asking stages, in order."""


@runtime_checkable
class BatchJudge(Protocol):
    """For example `judges.openai.OpenAIJudge`."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def batch_price_frac(self) -> float:
        """Price in a batch as a share of the API price."""
        ...

    def settle(self, *, run: Path) -> None:
        """Fix the form of requests without asking the endpoint, and remember it in folder `run`."""
        ...

    def request_body(self, request: Request) -> dict[str, Any]:
        """Body for /chat/completions. Raises AutointerpError for a request that goes elsewhere."""
        ...

    def read_result(self, status: int, body: Any) -> Reply:
        """Reply from a status and a decoded body, at the batch's price. Raises as `ask`."""
        ...

    def bound_usd(self, request: Request) -> float | None:
        """Highest price through the API; None when unknown."""
        ...

    async def aclose(self) -> None: ...


def judge_of(config: Config, stage: str) -> str:
    """Judge of a stage. Raises ConfigError where its scorers have several."""
    if stage == "explain":
        return config.explain.judge
    specs = config.score.judges
    if len(specs) > 1:
        raise ConfigError(
            f"score.scorers are answered by several judges ({', '.join(specs)}), and batch files go to one; keep the "
            "scorers of one judge in this run and score the others by `autointerp rescore` or `autointerp score`"
        )
    return next(iter(specs))


@contextmanager
def open_batch_judge(config: Config, layout: RunLayout, stage: str) -> Iterator[BatchJudge]:
    """Raises ConfigError for a judge without batch files."""
    spec = judge_of(config, stage)
    judge = open_judge(spec, judge_options(config, layout, spec))
    try:
        if not isinstance(judge, BatchJudge):
            name, _ = split_spec(spec)
            raise ConfigError(
                f"{stage}.judge = '{spec}': judge '{name}' takes no batch files; use openai:MODEL, or ask it by "
                f"`autointerp {stage}`"
            )
        judge.settle(run=layout.probes)
        yield judge
    finally:
        asyncio.run(judge.aclose())
