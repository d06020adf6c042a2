"""The taking of an exam: every request put to a judge once.

A sitting that is broken off goes on from the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from autointerp.audition.concept import Family
from autointerp.audition.concepts import TOLD, Told, explanation
from autointerp.audition.exam import Asked, Balance, Exam, Sitting
from autointerp.audition.planting import DICTIONARY
from autointerp.judges.engine.client import Failure
from autointerp.judges.judge import Reply
from autointerp.records.verdict import Answer, Explanation, Verdict
from autointerp.records.window import Kind
from autointerp.runs.reply_record import Account
from autointerp.score.scorer import AnswerRead
from autointerp.workers import Asker, Recorder, Tally, Work, guard, run_steps

__all__ = ["Answered", "Bill", "Sat", "sit"]


@dataclass(frozen=True, slots=True)
class Answered:
    """`is_firing`: what the feature does. `says`: the answer of a faultless judge that is told this. `place`: from 0,
    among the request's `n_places` windows."""

    concept: str
    family: Family
    feature: int
    scorer: str
    told: Told
    balance: Balance
    sitting: Sitting
    window: str
    place: int
    n_places: int
    is_firing: bool
    says: bool
    answer: Answer
    probability: float | None


@dataclass(slots=True)
class Bill:
    """Cost of one scorer's replies, of cached ones too."""

    n_requests: int = 0
    n_unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0

    def add(self, reply: Reply) -> None:
        self.n_requests += 1
        self.n_unpriced += reply.usage.usd is None
        self.input_tokens += reply.usage.input_tokens
        self.output_tokens += reply.usage.output_tokens
        self.usd += reply.usage.usd or 0.0


@dataclass(frozen=True, slots=True)
class Sat:
    """Answers in the exam's order, a bill per scorer."""

    answers: tuple[Answered, ...]
    bills: dict[str, Bill]


async def sit(
    exam: Exam,
    *,
    client: Asker,
    judge: str,
    n_workers: int = 16,
    recorder: Recorder | None = None,
    on_progress: Callable[[Tally], None] | None = None,
) -> Sat:
    """A failed request gives answers `error` or `refused`. Raises RunStopped when a ceiling is reached or the judge
    cannot go on, and ArtefactError; what is answered is recorded first."""
    work = Work(client, judge, recorder, Tally(len(exam.evidences)), on_progress)
    left = Counter(asked.feature for asked in exam.asked)
    bills = {scorer.name: Bill() for scorer in exam.scorers}
    read: dict[int, tuple[AnswerRead, ...]] = {}
    if recorder is not None:
        recorder.save_explanations(_explanations(exam, judge))

    async def ask(asked: Asked, number: int) -> None:
        read[number] = await _ask(work, asked, bills[asked.scorer.name])
        left[asked.feature] -= 1
        if not left[asked.feature]:
            work.finish_one()

    await run_steps(work, (partial(ask, asked, number) for number, asked in enumerate(exam.asked)), n_workers)
    answers = [one for number, asked in enumerate(exam.asked) for one in _answered(asked, read[number])]
    return Sat(tuple(answers), bills)


async def _ask(work: Work, asked: Asked, bill: Bill) -> tuple[AnswerRead, ...]:
    n = len(asked.question.items)
    account = Account(
        DICTIONARY,
        asked.told,
        asked.scorer.name,
        asked.feature,
        _control(asked),
        tuple(item.key for item in asked.question.items),
    )

    async def ask() -> tuple[AnswerRead, ...]:
        outcome = await work.ask(asked.question.request, account)
        if isinstance(outcome, Failure):
            return (AnswerRead(outcome.kind),) * n
        bill.add(outcome)
        return tuple(asked.scorer.read(asked.question, outcome))

    read = await guard(f"auditioning {asked.concept.name}", ask()) or (AnswerRead("error"),) * n
    work.add_verdicts([_verdict(one, asked, work.judge) for one in _answered(asked, read)])
    return read


def _answered(asked: Asked, read: tuple[AnswerRead, ...]) -> list[Answered]:
    return [
        Answered(
            concept=asked.concept.name,
            family=asked.concept.family,
            feature=asked.feature,
            scorer=asked.scorer.name,
            told=asked.told,
            balance=asked.balance,
            sitting=asked.sitting,
            window=item.key,
            place=place,
            n_places=len(read),
            is_firing=item.is_firing,
            says=says,
            answer=one.answer,
            probability=one.probability,
        )
        for place, (item, says, one) in enumerate(zip(asked.question.items, asked.says, read, strict=True))
    ]


def _control(asked: Asked) -> str | None:
    """A sheet's name in the journal; None for an explanation's first."""
    names = [name for name in (asked.balance, asked.sitting) if name not in ("5+5", "first")]
    return " ".join(names) or None


def _verdict(one: Answered, asked: Asked, judge: str) -> Verdict:
    kinds: dict[str, Kind] = {item.key: item.kind for item in asked.question.items}
    return Verdict(
        dictionary=DICTIONARY,
        feature=one.feature,
        explainer=one.told,
        scorer=one.scorer,
        judge=judge,
        prompt_hash=asked.scorer.prompt_hash,
        control=_control(asked),
        window=one.window,
        kind=kinds[one.window],
        is_firing=one.is_firing,
        answer=one.answer,
        probability=one.probability,
    )


def _explanations(exam: Exam, judge: str) -> list[Explanation]:
    """Right, wrong and foreign, as by three explainers."""
    concepts = {asked.feature: asked.concept for asked in exam.asked}
    return [
        Explanation(DICTIONARY, feature, told, judge, exam.hash, explanation(concept, told, exam.wording))
        for feature, concept in concepts.items()
        for told in TOLD
    ]
