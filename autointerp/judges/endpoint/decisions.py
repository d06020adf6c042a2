"""The `/decisions` protocol (OpenAI; vLLM since 0.33): the chat prompt with one yes-or-no question per passage."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from autointerp.errors import JudgeRetry
from autointerp.judges.endpoint.completion import Price, read_usage
from autointerp.judges.endpoint.rate_limits import read_rate_limits
from autointerp.judges.judge import Reply, Request
from autointerp.judges.tasks import ScoreTask

__all__ = ["MOST_QUESTIONS", "can_decide", "decision_body", "read_decisions"]

MOST_QUESTIONS = 64
"""vLLM's bound for generative models; OpenAI takes more."""


def can_decide(request: Request) -> bool:
    task = request.task
    return request.want_logprobs and isinstance(task, ScoreTask) and 0 < len(task.passages) <= MOST_QUESTIONS


def decision_body(request: Request, *, model: str) -> dict[str, Any]:
    assert isinstance(request.task, ScoreTask)
    text = "\n\n".join(message.content for message in request.messages)
    questions = [
        {
            "type": "predicate",
            "name": str(number),
            "instructions": f"By the rules above, the right answer for number {number} of the list is 1.",
        }
        for number in range(1, len(request.task.passages) + 1)
    ]
    return {"model": model, "input": text, "questions": questions}


def read_decisions(body: Any, headers: Mapping[str, str], *, n: int, model: str, price: Price) -> Reply:
    """Answers are 1 from probability 0.5 on, null where declined. Raises JudgeRetry unless there are `n`."""
    answers = body.get("answers") if isinstance(body, dict) else None
    if not isinstance(answers, list) or len(answers) != n:
        raise JudgeRetry(f"the endpoint sent a body without {n} answers")
    probabilities = [_probability(answer) for answer in answers]
    stated = [p for p in probabilities if p is not None]
    name = body.get("model")
    return Reply(
        text=json.dumps([None if p is None else int(p >= 0.5) for p in probabilities]),
        model=name if isinstance(name, str) else model,
        finish="stop" if stated else "refused",
        usage=read_usage(body.get("usage"), price),
        probabilities=tuple(stated) if len(stated) == n else None,
        rate_limits=read_rate_limits(headers, now=time.time()),
    )


def _probability(answer: Any) -> float | None:
    """None where declined."""
    if not isinstance(answer, dict):
        raise JudgeRetry("the endpoint sent answers that are no objects")
    if answer.get("type") == "refusal":
        return None
    value = answer.get("probability")
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 <= value <= 1.0:
        raise JudgeRetry("the endpoint sent an answer without a probability")
    return float(value)
