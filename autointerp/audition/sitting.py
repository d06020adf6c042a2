"""A judge sits the exam: every request put to it once, in any order, and what it answered.

Takes an exam and a client. Answers are also recorded as verdicts and explanations, so that `autointerp journal` shows
the exam as it shows a run; a sitting that is broken off goes on from the journal. Knows nothing of marks.
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
    """One answer about one window. `is_firing` is what the feature does, `says` what a judge would answer that applies
    the explanation it was told without error. `place` counts from 0 among the `n_places` windows of the request."""

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
    """What the replies of one scorer's requests took. Those from a journal or cache count with what they cost once."""

    n_requests: int = 0
    n_unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0

    def add(self, reply: Reply) -> None:
        """Book a reply."""
        self.n_requests += 1
        self.n_unpriced += reply.usage.usd is None
        self.input_tokens += reply.usage.input_tokens
        self.output_tokens += reply.usage.output_tokens
        self.usd += reply.usage.usd or 0.0


@dataclass(frozen=True, slots=True)
class Sat:
    """All answers, in the exam's order, and a bill per scorer."""

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
    """Put the exam to a judge, `n_workers` requests at a time.

    A request that fails gives answers `error` or `refused`. Raises RunStopped when a ceiling is reached or the judge
    cannot go on, and ArtefactError, after what is answered has been recorded.
    """
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
    """How the journal calls a sheet: the first one of each explanation has no name."""
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
    """What the judge is told, as explanations by three explainers."""
    concepts = {asked.feature: asked.concept for asked in exam.asked}
    return [
        Explanation(DICTIONARY, feature, told, judge, exam.hash, explanation(concept, told, exam.wording))
        for feature, concept in concepts.items()
        for told in TOLD
    ]
