"""Scorer `rubric`: points for an explanation beside the windows and tokens it is about, no prediction asked for.

The four questions and their points, 14 in all, are those of the blind human ratings of Bricken et al. 2023 (Manual
Human Analysis); the words are ours. There the rater first writes the interpretation; here it is the explainer's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.judges.judge import Reply, Request
from autointerp.judges.tasks import Criterion, RateTask
from autointerp.prompting.marking import quote, strength
from autointerp.prompting.numbers import diagnose_numbers, find_numbers
from autointerp.prompting.refusals import is_refusal
from autointerp.records.evidence import Evidence
from autointerp.records.window import Window
from autointerp.score.prompted import PromptedScorer
from autointerp.score.sampling import choose_positives, too_few
from autointerp.score.scorer import AnswerRead, Item, Question, Scale, Unscorable
from autointerp.score.trials import as_passage

__all__ = ["CRITERIA", "RubricScorer", "RubricSettings", "open_scorer"]

CRITERIA: Mapping[str, Criterion] = {
    "confidence": Criterion("How sure can one be that the explanation says what the feature fires on?", 3),
    "activations": Criterion(
        "How well do the marked tokens agree with the explanation, the stronger windows counting for more?", 5
    ),
    "logits": Criterion("How well do the tokens that the feature makes likelier agree with the explanation?", 3),
    "specificity": Criterion("How specific is the explanation: how little else would it allow?", 3),
}
"""Questions by name, in the order in which they are asked."""

_N_TOKENS = 10


class RubricSettings(ScorerConfig):
    uses = frozenset({"n_positive", "sampling"})
    needs_silent: ClassVar[bool] = False

    n_positive: int = 12
    """Firing windows shown."""


class RubricScorer(PromptedScorer):
    """One request per feature; an item is a criterion, and its verdict's probability the share of the points given."""

    scale = Scale("points")

    def __init__(self, settings: ScorerConfig, score: ScoreConfig) -> None:
        super().__init__(settings, score, prompt="rubric", again="reask_points")

    def sample(
        self, evidence: Evidence, rng: np.random.Generator, *, others: Sequence[Evidence]
    ) -> tuple[Item, ...] | Unscorable:
        """The criteria over the same windows, strongest first; that of the logits where promoted tokens are known."""
        n = self._settings.n_positive
        chosen = choose_positives(evidence, self._settings, n, rng)
        shortage = too_few("positives", len(chosen), n)
        if shortage is not None:
            return Unscorable("too_few_positives", shortage)
        shown = tuple(sorted(chosen, key=lambda window: (-window.max_activation, window.id)))
        promoted = tuple(effect.text for effect in evidence.top_logits[:_N_TOKENS])
        asked = [name for name in CRITERIA if promoted or name != "logits"]
        return tuple(Item(shown[0], "top", True, name, shown, tokens=promoted) for name in asked)

    def questions(self, explanation: str, items: Sequence[Item]) -> tuple[Question, ...]:
        return (Question(self._request(explanation, items), tuple(items)),) if items else ()

    def read(self, question: Question, reply: Reply) -> tuple[AnswerRead, ...]:
        """`fires` from half of a criterion's points on; all unparsed unless each has whole points within its own."""
        most = [CRITERIA[item.key].most for item in question.items]
        if reply.finish == "refused":
            return (AnswerRead("refused"),) * len(most)
        points = self._points(question, reply)
        if points is None or any(p != int(p) or p > n for p, n in zip(points, most, strict=True)):
            return (AnswerRead("refused" if is_refusal(reply.text) else "unparsed"),) * len(most)
        return tuple(AnswerRead("fires" if 2 * p >= n else "silent", p / n) for p, n in zip(points, most, strict=True))

    def _points(self, question: Question, reply: Reply) -> Sequence[float] | None:
        n, highest = len(question.items), max(CRITERIA[item.key].most for item in question.items)
        found = find_numbers(reply.text, n, name="points", highest=highest, is_cut=reply.finish == "length")
        return None if found is None else found.values

    def _describe(self, question: Question, reply: Reply) -> Mapping[str, object]:
        n, highest = len(question.items), max(CRITERIA[item.key].most for item in question.items)
        problem = diagnose_numbers(reply.text, n, highest=highest, is_cut=reply.finish == "length")
        return {"n_questions": n, "problem": problem}

    def _request(self, explanation: str, items: Sequence[Item]) -> Request:
        windows = [window for window in items[0].shown if isinstance(window, Window)]
        strongest = max(window.max_activation for window in windows)
        task = RateTask(
            explanation=explanation,
            passages=tuple(as_passage(window, has_marks=True) for window in windows),
            strengths=tuple(strength(window.max_activation, maximum=strongest) for window in windows),
            promoted=items[0].tokens,
            criteria=tuple(CRITERIA[item.key] for item in items),
        )
        messages = self._prompt.render(
            explanation=quote(explanation),
            windows=[
                (level, self._notation.write(passage.text, passage.marks))
                for level, passage in zip(task.strengths, task.passages, strict=True)
            ],
            promoted=[quote(token) for token in task.promoted],
            criteria=task.criteria,
        )
        return self._ask(task, messages, _reply_schema(task.criteria))


def _reply_schema(criteria: Sequence[Criterion]) -> Mapping[str, Any]:
    """JSON schema of `{"points": [...]}` with as many whole numbers as there are criteria."""
    entry = {"type": "integer", "minimum": 0, "maximum": max(each.most for each in criteria)}
    points = {"type": "array", "items": entry, "minItems": len(criteria), "maxItems": len(criteria)}
    return {
        "type": "object",
        "properties": {"points": points},
        "required": ["points"],
        "additionalProperties": False,
    }


def open_scorer(settings: RubricSettings, score: ScoreConfig) -> RubricScorer:
    return RubricScorer(settings, score)
