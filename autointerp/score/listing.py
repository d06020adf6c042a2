"""Scorers whose replies are lists with one 0 or 1 per window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.judge import Reply, Request
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.prompting.marking import quote, token_starts
from autointerp.prompting.parsing import Bit, diagnose, find_answers
from autointerp.prompting.probabilities import answer_probabilities
from autointerp.prompting.refusals import is_refusal
from autointerp.records.verdict import Answer
from autointerp.score.prompted import PromptedScorer
from autointerp.score.scorer import AnswerRead, Item, Question, Scale

__all__ = ["ListScorer", "reply_schema"]

_ANSWERS: dict[Bit | None, Answer] = {1: "fires", 0: "silent", None: "unparsed"}


class ListScorer(PromptedScorer):
    """Asks about `windows_per_request` windows at a time; the last request may hold fewer."""

    def __init__(
        self, settings: ScorerConfig, score: ScoreConfig, *, prompt: str, has_marks: bool, noun: str = "windows"
    ) -> None:
        """`noun` names the items in a repeated question."""
        super().__init__(settings, score, prompt=prompt, again="reask")
        self._has_marks, self._noun = has_marks, noun

    @property
    def scale(self) -> Scale:
        return Scale("marks" if self._has_marks else "windows", heading=self._settings.heading)

    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        """The items in batches, in the order given."""
        size = self._settings.windows_per_request
        batches = [tuple(items[start : start + size]) for start in range(0, len(items), size)]
        return tuple(Question(self._request(explanation, batch), batch) for batch in batches)

    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """One answer per item, with its probability if known; a list of another length is unparsed, or refused, for all
        items."""
        n = len(question.items)
        if reply.finish == "refused":
            return (AnswerRead("refused"),) * n
        answers = find_answers(reply.text, n, is_cut=reply.finish == "length")
        if answers is None:
            return (AnswerRead("refused" if is_refusal(reply.text) else "unparsed"),) * n
        probabilities = answer_probabilities(reply, answers)
        return tuple(AnswerRead(_ANSWERS[v], p) for v, p in zip(answers.values, probabilities, strict=True))

    def _describe(self, question: Question, reply: Reply) -> Mapping[str, object]:
        n = len(question.items)
        problem = diagnose(reply.text, n, is_cut=reply.finish == "length")
        return {"n_answers": n, "noun": self._noun, "problem": problem}

    def _request(self, explanation: str, items: Sequence[Item]) -> Request:
        task = self._task(explanation, tuple(self._passage(item) for item in items))
        messages = self._prompt.render(
            explanation=quote(explanation),
            n_windows=len(task.passages),
            windows=[self._write(item, passage) for item, passage in zip(items, task.passages, strict=True)],
        )
        return self._ask(task, messages, reply_schema(len(task.passages)))

    def _task(self, explanation: str, passages: tuple[Passage, ...]) -> ScoreTask:
        return ScoreTask(explanation, passages)

    def _passage(self, item: Item) -> Passage:
        window = item.window
        if self._has_marks:
            return Passage(window.text, window.character_span(window.candidate))
        return Passage(window.text, starts=token_starts(window))

    def _write(self, item: Item, passage: Passage) -> str:
        spans = passage.marks or ((passage.mark,) if passage.mark else ())
        return self._notation.write_window(item.window, spans or None)


def reply_schema(n: int) -> Mapping[str, Any]:
    """JSON schema of `{"answers": [...]}` with exactly `n` entries of 0 or 1."""
    answers = {"type": "array", "items": {"type": "integer", "enum": [0, 1]}, "minItems": n, "maxItems": n}
    return {
        "type": "object",
        "properties": {"answers": answers},
        "required": ["answers"],
        "additionalProperties": False,
    }
