"""Questions about several windows put one window at a time, in few words, to judges that are small."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autointerp.judges.engine.client import Failure, Outcome
from autointerp.judges.judge import Reply, Request, Usage
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.prompting.lists import Bit, read_values
from autointerp.prompting.marking import mark, quote
from autointerp.prompting.parsing import Answers
from autointerp.prompting.probabilities import answer_probabilities
from autointerp.prompting.templates import load_prompt

__all__ = ["PROMPT", "OneWindow"]

PROMPT = "score/one_window"
_SCHEMA: Mapping[str, Any] = {"type": "integer", "enum": [0, 1]}
_MAX_TOKENS = 8


class OneWindow:
    """How the client of a small judge splits requests and joins replies."""

    def count(self, request: Request) -> int:
        """Number of questions that a request is put as."""
        return max(1, len(self.split(request)))

    def split(self, request: Request) -> tuple[Request, ...]:
        """A question per window, or none where the request is put as it is."""
        if not _is_split(request):
            return ()
        prompt, task = load_prompt(PROMPT), request.task
        assert isinstance(task, ScoreTask)
        return tuple(
            replace(
                request,
                task=ScoreTask(task.explanation, (passage,)),
                messages=prompt.render(
                    explanation=quote(task.explanation),
                    window=quote(_marked(passage)),
                    has_marks=bool(_spans(passage)),
                ),
                max_tokens=_MAX_TOKENS,
                reply_schema=_SCHEMA,
            )
            for passage in task.passages
        )

    def join(self, outcomes: Sequence[Outcome]) -> Outcome:
        """One reply with an answer per window, null for what was lost; the first failure where all was."""
        replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
        if not replies:
            return outcomes[0]
        read = [_read(outcome) for outcome in outcomes]
        known = [probability for _, probability in read if probability is not None]
        usages = [reply.usage for reply in replies]
        prices = [usage.usd for usage in usages if usage.usd is not None]
        return Reply(
            text=json.dumps({"answers": [answer for answer, _ in read]}),
            model=replies[0].model,
            usage=Usage(
                input_tokens=sum(usage.input_tokens for usage in usages),
                output_tokens=sum(usage.output_tokens for usage in usages),
                cached_tokens=sum(usage.cached_tokens for usage in usages),
                usd=sum(prices) if len(prices) == len(usages) else None,
            ),
            probabilities=tuple(known) if len(known) == len(read) else None,
        )


def _is_split(request: Request) -> bool:
    task, schema = request.task, request.reply_schema
    return (
        isinstance(task, ScoreTask)
        and task.asks == "fires"
        and schema is not None
        and "answers" in schema.get("properties", ())
    )


def _spans(passage: Passage) -> Sequence[tuple[int, int]]:
    return passage.marks or ((passage.mark,) if passage.mark else ())


def _marked(passage: Passage) -> str:
    spans = _spans(passage)
    return mark(passage.text, spans) if spans else passage.text


def _read(outcome: Outcome) -> tuple[Bit | None, float | None]:
    """The answer to one question and its probability."""
    text = "" if isinstance(outcome, Failure) else outcome.text.strip()
    values = read_values([text.rstrip(".")])
    if isinstance(outcome, Failure) or values is None:
        return None, None
    (probability,) = answer_probabilities(outcome, Answers(values, (outcome.text.find(text),)))
    return values[0], probability
