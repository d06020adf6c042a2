"""Judges with one known fault each, and an exam put to a judge without journal or limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from autointerp.audition.exam import Exam, Size, make_exam
from autointerp.audition.grades import Grades, grade
from autointerp.audition.sitting import Sat, sit
from autointerp.judges.judge import Reply, Request, Usage
from autointerp.judges.offline.truth import Truth
from autointerp.judges.tasks import ScoreTask
from autointerp.runs.reply_record import Account
from autointerp.seeds import unit_hash


class Direct:
    """Asks the judge itself."""

    def __init__(self, judge: Any) -> None:
        self.judge = judge
        self.n_asked = 0

    async def ask(self, request: Request, *, account: Account | None = None) -> Reply:
        self.n_asked += 1
        return await self.judge.ask(request)


class Answering:
    """A judge that answers a list by a function of the task, the right answers and the sample index."""

    def __init__(self, answer: Callable[[ScoreTask, Sequence[bool], int], Sequence[int]], truth: Truth) -> None:
        self.answer, self.truth = answer, truth

    async def ask(self, request: Request) -> Reply:
        task = request.task
        assert isinstance(task, ScoreTask)
        answers = [int(one) for one in self.answer(task, self.truth.labels(task), request.sample)]
        return Reply(json.dumps({"answers": answers}), "m", usage=Usage(100, 10, usd=0.002))


class Sure:
    """Knows the labels and states a probability for each: 0.9 where it says fires, 0.2 where silent."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    async def ask(self, request: Request) -> Reply:
        assert isinstance(request.task, ScoreTask)
        labels = self.truth.labels(request.task)
        text = json.dumps({"answers": [int(label) for label in labels]})
        return Reply(text, "m", probabilities=tuple(0.9 if label else 0.2 for label in labels))


def first_half(task: ScoreTask, labels: Sequence[bool], sample: int) -> list[int]:
    """Says 1 in the first half of every list."""
    return [int(2 * place < len(labels)) for place in range(len(labels))]


def half_ones(task: ScoreTask, labels: Sequence[bool], sample: int) -> list[int]:
    """Knows the labels, and makes half of every list ones, the likeliest first."""
    order = sorted(range(len(labels)), key=lambda place: (not labels[place], unit_hash(task.passages[place].text)))
    ones = set(order[: len(labels) // 2])
    return [int(place in ones) for place in range(len(labels))]


def fickle(task: ScoreTask, labels: Sequence[bool], sample: int) -> list[int]:
    """Says what comes into its head, something else each time."""
    return [int(unit_hash("fickle", str(p), sample, len(labels), i) < 0.5) for i, p in enumerate(task.passages)]


def yes(task: ScoreTask, labels: Sequence[bool], sample: int) -> list[int]:
    """Says 1 to everything."""
    return [1] * len(labels)


_exams: dict[str, Exam] = {}


def exam_made_once(scorers: Sequence[str], **settings: Any) -> Exam:
    """`make_exam`, once for equal settings."""
    asked = repr((tuple(scorers), sorted(settings.items())))
    if asked not in _exams:
        _exams[asked] = make_exam(scorers, **settings)
    return _exams[asked]


@cache
def exam(size: Size = "small", *scorers: str, wording: Any = "plain") -> Exam:
    return make_exam(scorers or ("detection", "marked"), size=size, wording=wording)


@cache
def truth(size: Size = "small") -> Truth:
    return Truth.of_evidence(exam(size).evidences)


def sat(judge: Any, given: Exam) -> Sat:
    return asyncio.run(sit(given, client=Direct(judge), judge="judge"))


def grades(judge: Any, given: Exam | None = None) -> dict[str, Grades]:
    given = given or exam()
    found = sat(judge, given)
    return {
        scorer.name: grade([a for a in found.answers if a.scorer == scorer.name], found.bills[scorer.name])
        for scorer in given.scorers
    }
