"""Holding explanations against their features: many at once, with the same result in any order."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from autointerp.judges.engine.client import Failure
from autointerp.judges.judge import Reply, Request
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_book import Outlined, outlines_of, some_of
from autointerp.records.verdict import NO_EXPLAINER, Explanation, Unscored, Verdict
from autointerp.runs.reply_record import Account
from autointerp.score.controls import fixed_controls, shuffled_partners
from autointerp.score.sampling import assert_apart, fixed_others
from autointerp.score.scorer import AnswerRead, Item, Question, Scorer, Unscorable
from autointerp.seeds import stream
from autointerp.workers import Asker, Recorder, Tally, Work, guard, run_steps

__all__ = ["Scoring", "score_features"]

NO_CONTROLS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Scoring:
    """All verdicts and all features that have none, sorted; their numbers alone where a journal keeps the records."""

    verdicts: tuple[Verdict, ...]
    unscored: tuple[Unscored, ...]
    n_verdicts: int
    n_unscored: int
    # of `n_requests`, asked again because a reply could not be read
    n_reasked: int = 0
    n_requests: int = 0


async def score_features(
    evidences: Sequence[Evidence],
    explanations: Iterable[Explanation],
    *,
    explainers: Sequence[str],
    scorers: Sequence[Scorer],
    client: Asker,
    judge: str,
    seed: int,
    shuffled_frac: float = 0.0,
    control_fracs: Mapping[str, float] = NO_CONTROLS,
    only: Container[int] | None = None,
    wanted: Container[tuple[str, int]] | None = None,
    n_workers: int = 16,
    recorder: Recorder | None = None,
    is_recorded_only: bool = False,
    on_progress: Callable[[Tally], None] | None = None,
) -> Scoring:
    """Hold every explainer's explanations against their features' windows under every scorer; all see the same windows.

    `control_fracs`: shares judged again with an explanation that is the same for all (`empty`, `generic`). `only` and
    `wanted` limit the features asked about, but not the partners of controls: no verdict depends on them. Raises as
    `explain_features`, and ArtefactError where a document serves both roles; a failure within one feature gives
    verdicts `error`.
    """
    explanations = tuple(explanations)
    outlines = outlines_of(evidences)
    told = {name: _Told.by(name, outlines, explanations, seed, shuffled_frac, control_fracs) for name in explainers}
    others = {
        name: fixed_others(some_of(evidences, lambda e, name=name: e.dictionary == name), seed=seed)
        for name in sorted({e.dictionary for e in outlines})
    }
    mine = some_of(
        evidences,
        lambda e: (only is None or e.feature in only) and (wanted is None or (e.dictionary, e.feature) in wanted),
    )
    n_each = sum(len(explainers) if scorer.scale.needs_explanation else 1 for scorer in scorers)
    work = Work(client, judge, recorder, Tally(len(mine) * n_each), on_progress, is_recorded_only)
    features = _features(mine, tuple(told.values()), scorers, seed)
    steps = (partial(_score_one, work, feature, others[feature.evidence.dictionary]) for feature in features)
    await run_steps(work, steps, n_workers)
    work.require_results()
    return Scoring(
        tuple(sorted(work.verdicts, key=_place)),
        tuple(sorted(work.unscored)),
        n_verdicts=work.tally.n_verdicts,
        n_unscored=work.tally.n_unscored,
        n_reasked=work.tally.n_reasked,
        n_requests=work.tally.n_requests,
    )


def _place(v: Verdict) -> tuple[str | int, ...]:
    return v.dictionary, v.feature, v.explainer, v.scorer, v.control or "", v.window


@dataclass(frozen=True, slots=True)
class _Feature:
    evidence: Evidence
    explainer: str
    # its own explanation
    text: str | None
    # other explanations it is judged with, by the control's name
    controls: Mapping[str, str]
    scorer: Scorer
    seed: int


@dataclass(frozen=True, slots=True)
class _Told:
    """What one explainer says of every feature, by dictionary and feature."""

    explainer: str
    texts: Mapping[tuple[str, int], str | None]
    # the feature whose explanation each borrows
    partners: Mapping[tuple[str, int], int]
    # texts that are the same for all
    fixed: Mapping[tuple[str, int], Mapping[str, str]]

    @classmethod
    def by(
        cls,
        explainer: str,
        evidences: Sequence[Outlined],
        explanations: Iterable[Explanation],
        seed: int,
        shuffled_frac: float,
        control_fracs: Mapping[str, float],
    ) -> _Told:
        texts = {(e.dictionary, e.feature): e.text for e in explanations if e.explainer == explainer}
        partners = shuffled_partners(evidences, texts, seed=seed, frac=shuffled_frac)
        return cls(explainer, texts, partners, fixed_controls(evidences, texts, seed=seed, fracs=control_fracs))

    def feature(self, evidence: Evidence, scorer: Scorer, seed: int) -> _Feature:
        key = evidence.dictionary, evidence.feature
        controls = dict(self.fixed.get(key, {}))
        partner = self.partners.get(key)
        if partner is not None:
            controls["shuffled"] = self.texts[evidence.dictionary, partner] or ""
        return _Feature(evidence, self.explainer, self.texts.get(key), controls, scorer, seed)


def _features(
    evidences: Sequence[Evidence], told: Sequence[_Told], scorers: Sequence[Scorer], seed: int
) -> Iterator[_Feature]:
    """Every feature under every scorer, with each explanation where it needs one."""
    for evidence in evidences:
        for one in told:
            yield from (one.feature(evidence, scorer, seed) for scorer in scorers if scorer.scale.needs_explanation)
        for scorer in scorers:
            if not scorer.scale.needs_explanation:
                yield _Feature(evidence, NO_EXPLAINER, None, {}, scorer, seed)


async def _score_one(work: Work, feature: _Feature, others: Sequence[Evidence]) -> None:
    evidence, scorer = feature.evidence, feature.scorer
    items = await _sample(feature, others)
    if isinstance(items, Unscorable):
        account = evidence.dictionary, evidence.feature, feature.explainer, scorer.name
        work.add_unscored(Unscored(*account, items.reason, detail=items.detail))
    else:
        await _judge(work, feature, items, feature.text or "", control=None)
        for control, text in sorted(feature.controls.items()):
            await _judge(work, feature, items, text, control=control)
    work.finish_one()


async def _sample(feature: _Feature, others: Sequence[Evidence]) -> tuple[Item, ...] | Unscorable:
    """The windows to judge, or why there are none."""
    evidence, scorer = feature.evidence, feature.scorer
    if evidence.unscored is not None:
        return Unscorable(evidence.unscored, "so says its evidence")

    async def sample() -> tuple[Item, ...] | Unscorable:
        rng = stream(feature.seed, "score", scorer.name, evidence.dictionary, evidence.feature)
        found = scorer.sample(evidence, rng, others=others)
        assert_apart(evidence, () if isinstance(found, Unscorable) else found)
        return found

    items = await guard(f"sampling {evidence.dictionary}/{evidence.feature}", sample())
    if items is None:
        return Unscorable("judge", "its windows could not be chosen; the log says why")
    if feature.text is None and scorer.scale.needs_explanation and not isinstance(items, Unscorable):
        return Unscorable("judge", "no explanation could be had")
    return items


async def _judge(work: Work, feature: _Feature, items: tuple[Item, ...], text: str, *, control: str | None) -> None:
    """One verdict per item; when the run stops, answers that were read are recorded all the same."""
    evidence, scorer = feature.evidence, feature.scorer
    name = f"scoring {evidence.dictionary}/{evidence.feature}"
    account = Account(evidence.dictionary, feature.explainer, scorer.name, evidence.feature, control)
    answers: dict[str, AnswerRead] = {}

    async def ask_all() -> None:
        # one after the other: they share a prefix the server may cache
        for question in scorer.questions(text, items):
            asked = account._replace(windows=tuple(item.key for item in question.items))
            await guard(name, _answer(work, scorer, question, asked, answers))

    is_over = False
    try:
        await guard(name, ask_all())
        is_over = True
    finally:
        lost = AnswerRead("error") if is_over else None
        known = [(item, read) for item in items if (read := answers.get(item.key, lost)) is not None]
        if known:
            _record(work, feature, known, control)


def _record(work: Work, feature: _Feature, known: Sequence[tuple[Item, AnswerRead]], control: str | None) -> None:
    evidence, scorer = feature.evidence, feature.scorer
    verdicts = [
        Verdict(
            dictionary=evidence.dictionary,
            feature=evidence.feature,
            explainer=feature.explainer,
            scorer=scorer.name,
            judge=work.judge,
            prompt_hash=scorer.prompt_hash,
            control=control,
            window=item.key,
            kind=item.kind,
            is_firing=item.is_firing,
            answer=read.answer,
            probability=read.probability,
            predictions=read.predictions,
            share=item.share,
        )
        for item, read in known
    ]
    work.add_verdicts(verdicts)


async def _answer(
    work: Work, scorer: Scorer, question: Question, account: Account, answers: dict[str, AnswerRead]
) -> None:
    """The answers to one question, written into `answers` by window as they are read."""

    def write(read: Sequence[AnswerRead]) -> None:
        answers.update({item.key: answer for item, answer in zip(question.items, read, strict=True)})

    n = len(question.items)
    request: Request | None = question.request
    replies: list[Reply] = []
    while request is not None:
        outcome = await (work.reask(request, account) if replies else work.ask(request, account))
        if isinstance(outcome, Failure):
            # a repetition that brings nothing leaves what was read before
            if not replies or outcome.kind == "refused":
                write((AnswerRead(outcome.kind),) * n)
            return
        replies.append(outcome)
        said: set[str] = {"unparsed"}
        try:
            read = scorer.read(question, outcome)
            if len(read) != n:
                raise ValueError(f"scorer '{scorer.name}' read {len(read)} answers about {n} windows")
            said = {answer.answer for answer in read} - {"refused"}
        finally:
            if said:
                work.note_reading(account, request, outcome, is_readable=said != {"unparsed"})
        write(read)
        request = scorer.reask(question, replies)
