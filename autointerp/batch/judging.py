"""Judges that can be asked by file: what they must offer beside `ask`, and how they are opened for a stage.

Takes a run's config. Knows nothing of files, rounds or the Batch API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.judges.protocol import Capabilities, Reply, Request
from autointerp.plugins import open_judge, split_spec
from autointerp.runs.layout import RunLayout
from autointerp.stages.asking import judge_options

__all__ = ["BATCH_STAGES", "BatchJudge", "judge_of", "open_batch_judge"]

BATCH_STAGES = ("explain", "score")
"""The stages that ask, in the order they come."""


@runtime_checkable
class BatchJudge(Protocol):
    """A judge whose requests and replies can travel in files: `judges.openai.OpenAIJudge`."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def batch_price_frac(self) -> float:
        """What a request costs in a batch, as a share of its price through the API, where the price is the config's."""
        ...

    def settle(self, *, run: Path) -> None:
        """Fix how requests are put, without asking the endpoint; the folder `run` remembers it for the API as well."""
        ...

    def request_body(self, request: Request) -> dict[str, Any]:
        """The body that `ask` would send to /chat/completions. Raises AutointerpError where it would not go there."""
        ...

    def read_result(self, status: int, body: Any) -> Reply:
        """What `ask` would make of a status and a decoded body, at the batch's price. Raises as `ask` does."""
        ...

    def bound_usd(self, request: Request) -> float | None:
        """The most a request can cost through the API, or None when nobody can say."""
        ...

    async def aclose(self) -> None: ...


def judge_of(config: Config, stage: str) -> str:
    """The judge of a stage, as the config names it. Raises ConfigError where its scorers have several."""
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
    """The judge of a stage, closed in the end. Raises ConfigError when it cannot be asked by file."""
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
