"""Judge `human:NAME`: a person, who gets the questions that a model gets and answers them on a page of this machine.

The page names no dictionary, feature or control, and asks in an order that tells nothing. What is answered is in the
journal; what was not is asked again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from autointerp.errors import ConfigError, JudgeRejected
from autointerp.judges.human.desk import Desk
from autointerp.judges.judge import Capabilities, Reply, Request
from autointerp.judges.options import Options, read_options
from autointerp.judges.tasks import Passage, RateTask, ScoreTask

__all__ = ["HumanJudge", "HumanOptions", "open_judge"]

PORT = 8001


class HumanOptions(Options):
    port: int = Field(default=PORT, ge=0, le=65535)
    """Where the page is served, on this machine only."""


class HumanJudge:
    def __init__(self, rater: str, *, port: int = PORT) -> None:
        self._rater, self._port = rater, port
        self._desk: Desk | None = None
        self._capabilities = Capabilities(
            endpoint="human",
            model=rater,
            is_local=True,
            uses_task=True,
            has_schema=True,
            max_concurrent=500,  # so many questions the order is drawn from
            is_batching=True,
            is_shared=False,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def ask(self, request: Request) -> Reply:
        """Wait for the person. Raises JudgeRejected for a question other than yes or no about passages, or points."""
        task = request.task
        if not isinstance(task, ScoreTask | RateTask):
            raise JudgeRejected(
                "a person is asked yes or no about windows, or for points: take scorers such as detection, marked, "
                "fuzzing and rubric"
            )
        if self._desk is None:
            self._desk = Desk(self._rater, port=self._port)
        sheet = {
            "explanation": task.explanation,
            "passages": [{"text": p.text, "marks": _marks(p)} for p in task.passages],
            "sample": request.sample,
        }
        if isinstance(task, RateTask):
            sheet |= {"strengths": task.strengths, "promoted": task.promoted}
            sheet |= {"questions": [criterion.question for criterion in task.criteria]}
            most, name = [criterion.most for criterion in task.criteria], "points"
        else:
            sheet |= {"asks": task.asks}
            most, name = [1] * len(task.passages), "answers"
        answers = await asyncio.wrap_future(self._desk.put(sheet, most=most))
        return Reply(text=json.dumps(answers if request.reply_schema is None else {name: answers}), model=self._rater)

    async def aclose(self) -> None:
        if self._desk is not None:
            await asyncio.to_thread(self._desk.close)
            self._desk = None


def _marks(passage: Passage) -> list[list[int]]:
    spans = passage.marks or (() if passage.mark is None else (passage.mark,))
    return [list(span) for span in spans]


def open_judge(model: str | None, options: Mapping[str, Any]) -> HumanJudge:
    """Raises ConfigError without a rater's name."""
    if not model:
        raise ConfigError("judge 'human' needs a model, the name of the rater: human:NAME")
    return HumanJudge(model, port=read_options("human", HumanOptions, options).port)
