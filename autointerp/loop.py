"""The explainer-scorer loop: many features at once, every failure a record, the same result in any order.

Takes evidence, an explainer or scorers, and a client; gives explanations, verdicts and the features that could not be
scored. Results go to the journal as they come and are sorted at the end. It resumes by asking again: the client
answers what is journalled from the journal. Knows nothing of prompts, metrics, torch or files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from autointerp.explain.protocol import Explainer, Reading
from autointerp.judges.client import Failure
from autointerp.judges.protocol import Reply
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Explanation, Unscored, Verdict
from autointerp.runs.reply_record import Account
from autointerp.score.controls import by_dictionary, shuffled_partners
from autointerp.score.protocol import AnswerRead, Item, Question, Scorer, Unscorable
from autointerp.score.results import Scoring
from autointerp.score.sampling import fixed_others
from autointerp.seeds import stream
from autointerp.workers import Asker, Progress, Recorder, Work, guard, run_steps, run_with

__all__ = ["explain_features", "run_with", "score_features"]


async def explain_features(
    evidences: Sequence[Evidence],
    *,
    explainer: Explainer,
    client: Asker,
    judge: str,
    seed: int,
    n_workers: int = 16,
    recorder: Recorder | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[Explanation, ...]:
    """Explain every feature that can be scored, `n_workers` at a time; sorted by dictionary and feature.

    A feature whose evidence is marked unscored is passed over: an explanation of it could not be held against
    anything. `judge` is the name stored with each explanation. Raises RunStopped or ArtefactError after what is
    finished has been flushed; any other failure becomes the feature's record.
    """
    wanted = [evidence for evidence in evidences if evidence.unscored is None]
    work = Work(client, judge, recorder, Progress(len(wanted)), on_progress)
    steps = (partial(_explain_one, work, explainer, evidence, seed) for evidence in wanted)
    await run_steps(work, steps, n_workers)
    return tuple(sorted(work.explanations, key=lambda e: (e.dictionary, e.feature)))


async def score_features(
    evidences: Sequence[Evidence],
    explanations: Iterable[Explanation],
    *,
    scorers: Sequence[Scorer],
    client: Asker,
    judge: str,
    seed: int,
    shuffled_frac: float = 0.0,
    n_workers: int = 16,
    recorder: Recorder | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Scoring:
    """Hold every explanation against its feature's windows under every scorer, `n_workers` features at a time.

    A share `shuffled_frac` of each dictionary's features is judged a second time, on the same windows, with the
    explanation of another feature (see `score.controls`). A feature without an explanation is unscored for the
    reason `judge`. Raises as `explain_features`; a failure within one feature gives verdicts `error`.
    """
    texts = {(e.dictionary, e.feature): e.text for e in explanations}
    partners = shuffled_partners(evidences, texts, seed=seed, frac=shuffled_frac)
    others = {name: fixed_others(group, seed=seed) for name, group in by_dictionary(evidences).items()}
    work = Work(client, judge, recorder, Progress(len(evidences) * len(scorers)), on_progress)

    def steps() -> Iterable[Callable[[], Awaitable[None]]]:
        for evidence in evidences:
            key = evidence.dictionary, evidence.feature
            control = texts[evidence.dictionary, partners[key]] if key in partners else None
            for scorer in scorers:
                feature = _Feature(evidence, texts.get(key), control, scorer, seed)
                yield partial(_score_one, work, feature, others[evidence.dictionary])

    await run_steps(work, steps(), n_workers)
    order = sorted(work.verdicts, key=lambda v: (v.dictionary, v.feature, v.scorer, v.control or "", v.window))
    return Scoring(tuple(order), tuple(sorted(work.unscored)))


async def _explain_one(work: Work, explainer: Explainer, evidence: Evidence, seed: int) -> None:
    name = f"explaining {evidence.dictionary}/{evidence.feature}"
    reading = await guard(name, _read_one(work, explainer, evidence, seed))
    text, failure = (reading.text, reading.failure) if isinstance(reading, Reading) else (None, reading)
    explanation = Explanation(
        dictionary=evidence.dictionary,
        feature=evidence.feature,
        explainer=explainer.name,
        judge=work.judge,
        prompt_hash=explainer.prompt_hash,
        text=text,
        failure=None if text is not None else failure or "error",
    )
    work.explanations.append(explanation)
    if work.recorder is not None:
        work.recorder.save_explanations([explanation])
    work.finish_one()


async def _read_one(
    work: Work, explainer: Explainer, evidence: Evidence, seed: int
) -> Reading | Literal["refused", "error"]:
    requests = explainer.requests(
        evidence, stream(seed, "explain", explainer.name, evidence.dictionary, evidence.feature)
    )
    replies: list[Reply] = []
    for request in requests:
        outcome = await work.ask(request, Account(evidence.dictionary, None))
        if isinstance(outcome, Failure):
            return outcome.kind
        replies.append(outcome)
    return explainer.read(replies) if replies else "error"


@dataclass(frozen=True, slots=True)
class _Feature:
    """One feature under one scorer; `text` is its own explanation, `control` the one it is judged with beside it."""

    evidence: Evidence
    text: str | None
    control: str | None
    scorer: Scorer
    seed: int


async def _score_one(work: Work, feature: _Feature, others: Sequence[Evidence]) -> None:
    evidence, scorer = feature.evidence, feature.scorer
    items = await _sample(feature, others)
    if isinstance(items, Unscorable):
        unscored = Unscored(evidence.dictionary, evidence.feature, scorer.name, items.reason, detail=items.detail)
        work.unscored.append(unscored)
        if work.recorder is not None:
            work.recorder.save_unscored([unscored])
    else:
        verdicts = await _judge(work, feature, items, feature.text or "", control=None)
        if feature.control is not None:
            verdicts += await _judge(work, feature, items, feature.control, control="shuffled")
        work.verdicts += verdicts
        work.progress.n_verdicts += len(verdicts)
        work.progress.n_unparsed += sum(v.answer == "unparsed" for v in verdicts)
        if work.recorder is not None:
            work.recorder.save_verdicts(verdicts)
    work.finish_one()


async def _sample(feature: _Feature, others: Sequence[Evidence]) -> tuple[Item, ...] | Unscorable:
    """The windows to judge, or why there are none. A feature without an explanation has nothing to be judged."""
    evidence, scorer = feature.evidence, feature.scorer
    if evidence.unscored is not None:
        return Unscorable(evidence.unscored, "so says its evidence")

    async def sample() -> tuple[Item, ...] | Unscorable:
        rng = stream(feature.seed, "score", scorer.name, evidence.dictionary, evidence.feature)
        return scorer.sample(evidence, rng, others=others)

    items = await guard(f"sampling {evidence.dictionary}/{evidence.feature}", sample())
    if items is None:
        return Unscorable("judge", "its windows could not be chosen; the log says why")
    if feature.text is None and not isinstance(items, Unscorable):
        return Unscorable("judge", "no explanation could be had")
    return items


async def _judge(
    work: Work, feature: _Feature, items: tuple[Item, ...], text: str, *, control: Literal["shuffled"] | None
) -> list[Verdict]:
    """One verdict per item. Questions of a feature go one after the other: they share a prefix the server may cache."""
    evidence, scorer = feature.evidence, feature.scorer
    name = f"scoring {evidence.dictionary}/{evidence.feature}"
    answers: dict[str, AnswerRead] = {}

    async def ask_all() -> None:
        for question in scorer.questions(text, items):
            read = await guard(name, _answer(work, scorer, question, Account(evidence.dictionary, scorer.name)))
            if read is not None:
                answers.update({item.window.id: a for item, a in zip(question.items, read, strict=True)})

    await guard(name, ask_all())
    return [
        Verdict(
            dictionary=evidence.dictionary,
            feature=evidence.feature,
            scorer=scorer.name,
            judge=work.judge,
            prompt_hash=scorer.prompt_hash,
            control=control,
            window=item.window.id,
            kind=item.kind,
            is_firing=item.is_firing,
            answer=read.answer,
            probability=read.probability,
        )
        for item in items
        for read in [answers.get(item.window.id, AnswerRead("error"))]
    ]


async def _answer(work: Work, scorer: Scorer, question: Question, account: Account) -> tuple[AnswerRead, ...]:
    outcome = await work.ask(question.request, account)
    n = len(question.items)
    if isinstance(outcome, Failure):
        return (AnswerRead(outcome.kind),) * n
    answers = scorer.read(question, outcome)
    if len(answers) != n:
        raise ValueError(f"scorer '{scorer.name}' read {len(answers)} answers about {n} windows")
    return answers
