"""Scorers that ask by the list: one 0 or 1 per window. What `marked`, `detection`, `fuzzing`, `recall` and
`logit_weights` have in common.

Takes a prompt and whether the candidate token is marked; what else a scorer does otherwise, it overrides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.protocol import Reply, Request
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.prompting.marking import mark, quote
from autointerp.prompting.parsing import Bit, diagnose, find_answers
from autointerp.prompting.probabilities import answer_probabilities
from autointerp.prompting.reasking import reask
from autointerp.prompting.refusals import is_refusal
from autointerp.prompting.templates import joint_hash, load_prompt
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Answer
from autointerp.score.protocol import AnswerRead, Item, Question, Scale, Unscorable
from autointerp.score.sampling import sample_items

__all__ = ["ListScorer", "reply_schema"]

_ANSWERS: dict[Bit | None, Answer] = {1: "fires", 0: "silent", None: "unparsed"}


class ListScorer:
    """Asks about `windows_per_request` windows at a time; the last, shorter batch is asked like the others."""

    def __init__(
        self,
        name: str,
        settings: ScorerConfig,
        score: ScoreConfig,
        *,
        has_marks: bool,
        prompt: str | None = None,
        noun: str = "windows",
    ) -> None:
        """`prompt` is that of the name where left out; `noun` is what a judge that is asked again is told that the
        answers are about."""
        self._name, self._settings, self._score, self._has_marks = name, settings, score, has_marks
        self._prompt, self._again = load_prompt(f"score/{prompt or name}"), load_prompt("score/reask")
        self._noun = noun

    @property
    def name(self) -> str:
        return self._settings.label or self._name

    @property
    def scale(self) -> Scale:
        return Scale("marks" if self._has_marks else "windows", heading=self._settings.heading)

    @property
    def prompt_hash(self) -> str:
        """That of the prompt, jointly with the one that asks again where that may happen."""
        return joint_hash(self._prompt, self._again) if self._score.reasks else self._prompt.hash

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """The windows to judge, shuffled (see `sampling.sample_items`)."""
        return sample_items(evidence, self._settings, rng, others=others)

    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        """The items cut into batches in the order given, so what a batch holds depends on the shuffle alone."""
        size = self._settings.windows_per_request
        batches = [tuple(items[start : start + size]) for start in range(0, len(items), size)]
        return tuple(Question(self._request(explanation, batch), batch) for batch in batches)

    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """One answer per item with its probability where that is known; a reply without a list of the right length is
        unparsed, or refused, for all of them.
        """
        n = len(question.items)
        if reply.finish == "refused":
            return (AnswerRead("refused"),) * n
        answers = find_answers(reply.text, n, is_cut=reply.finish == "length")
        if answers is None:
            return (AnswerRead("refused" if is_refusal(reply.text) else "unparsed"),) * n
        probabilities = answer_probabilities(reply, answers)
        return tuple(AnswerRead(_ANSWERS[v], p) for v, p in zip(answers.values, probabilities, strict=True))

    def reask(self, question: Question, replies: Sequence[Reply]) -> Request | None:
        """Once more, as often as `score.reasks` says, where no list could be read in the last reply.

        An answer that is missing in a list that could be read (`null`) is the judge's own, and no reason to ask again.
        """
        n = len(question.items)
        is_lost = all(read.answer == "unparsed" for read in self.read(question, replies[-1]))
        if not is_lost or len(replies) > self._score.reasks:
            return None

        def describe(reply: Reply) -> dict[str, object]:
            return {
                "n_answers": n,
                "noun": self._noun,
                "problem": diagnose(reply.text, n, is_cut=reply.finish == "length"),
            }

        return reask(question.request, replies, prompt=self._again, describe=describe)

    def _request(self, explanation: str, items: Sequence[Item]) -> Request:
        task = self._task(explanation, tuple(self._passage(item) for item in items))
        messages = self._prompt.render(
            explanation=quote(explanation),
            n_windows=len(task.passages),
            windows=[quote(_marked(passage)) for passage in task.passages],
        )
        return Request(
            task=task,
            messages=messages,
            max_tokens=self._score.max_tokens,
            temperature=self._score.temperature,
            reply_schema=reply_schema(len(task.passages)),
            want_logprobs=self._score.want_logprobs,
        )

    def _task(self, explanation: str, passages: tuple[Passage, ...]) -> ScoreTask:
        return ScoreTask(explanation, passages)

    def _passage(self, item: Item) -> Passage:
        window = item.window
        return Passage(window.text, window.character_span(window.candidate) if self._has_marks else None)


def _marked(passage: Passage) -> str:
    """The text with its marks, however many."""
    spans = passage.marks or ((passage.mark,) if passage.mark else ())
    return mark(passage.text, spans) if spans else passage.text


def reply_schema(n: int) -> Mapping[str, Any]:
    """The JSON schema of `{"answers": [...]}` with exactly `n` entries, each 0 or 1."""
    answers = {"type": "array", "items": {"type": "integer", "enum": [0, 1]}, "minItems": n, "maxItems": n}
    return {
        "type": "object",
        "properties": {"answers": answers},
        "required": ["answers"],
        "additionalProperties": False,
    }
