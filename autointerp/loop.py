"""The explainer-scorer loop: many features at once, every failure a record, the same result in any order.

Takes evidence, an explainer or scorers, and a client; gives explanations, verdicts and the features that could not be
scored. Results go to the journal as they come and are sorted at the end. It resumes by asking again: the client
answers what is journalled from the journal. Knows nothing of prompts, metrics, torch or files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from autointerp.explain.protocol import Explainer, Reading
from autointerp.judges.engine.client import Failure, Outcome
from autointerp.judges.protocol import Reply, Request
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import NO_EXPLAINER, NO_JUDGE, Explanation, Unscored, Verdict
from autointerp.runs.reply_record import Account
from autointerp.score.controls import by_dictionary, fixed_controls, shuffled_partners
from autointerp.score.protocol import AnswerRead, Item, Question, Scorer, Unscorable
from autointerp.score.results import Scoring
from autointerp.score.sampling import assert_apart, fixed_others
from autointerp.seeds import stream
from autointerp.workers import Asker, Progress, Recorder, Work, guard, run_steps, run_with

__all__ = ["explain_features", "run_with", "score_features"]


NO_CONTROLS: Mapping[str, float] = MappingProxyType({})


async def explain_features(
    evidences: Sequence[Evidence],
    *,
    explainers: Sequence[Explainer],
    client: Asker,
    judge: str,
    seed: int,
    n_workers: int = 16,
    recorder: Recorder | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[Explanation, ...]:
    """Have every explainer explain every feature that can be scored, `n_workers` at a time; sorted by dictionary,
    feature and explainer.

    A feature whose evidence is marked unscored is passed over: an explanation of it could not be held against
    anything. `judge` is the name stored with each explanation. Raises RunStopped or ArtefactError after what is
    finished has been flushed; any other failure becomes the feature's record.
    """
    wanted = [evidence for evidence in evidences if evidence.unscored is None]
    work = Work(client, judge, recorder, Progress(len(wanted) * len(explainers)), on_progress)
    steps = (partial(_explain_one, work, explainer, evidence, seed) for evidence in wanted for explainer in explainers)
    await run_steps(work, steps, n_workers)
    work.require_results()
    return tuple(sorted(work.explanations, key=lambda e: (e.dictionary, e.feature, e.explainer)))


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
    on_progress: Callable[[Progress], None] | None = None,
) -> Scoring:
    """Hold the explanations of every explainer named against their features' windows under every scorer, `n_workers`
    features at a time. The windows do not depend on the explainer.

    A share `shuffled_frac` of each dictionary's features is judged a second time, on the same windows, with the
    explanation of another feature, and shares `control_fracs` with an explanation that is the same for all (`empty`,
    `generic`; see `score.controls`). A feature without an explanation is unscored for the reason `judge`. Raises as
    `explain_features`, and ArtefactError for evidence in which a document serves both roles; a failure within one
    feature gives verdicts `error`.
    `only` are the features to ask about (a shard's); whose explanation or windows stand in for another's is settled
    among all of them, so that no verdict depends on it; `wanted` the same by dictionary and feature. With
    `is_recorded_only` verdicts go to the recorder and are only counted here, so that memory does not grow with the run.
    """
    told = _texts(explanations, explainers)
    partners = {name: shuffled_partners(evidences, told[name], seed=seed, frac=shuffled_frac) for name in explainers}
    fixed = {name: fixed_controls(evidences, told[name], seed=seed, fracs=control_fracs) for name in explainers}
    others = {name: fixed_others(group, seed=seed) for name, group in by_dictionary(evidences).items()}
    mine = [
        evidence
        for evidence in evidences
        if (only is None or evidence.feature in only)
        and (wanted is None or (evidence.dictionary, evidence.feature) in wanted)
    ]
    explained = [scorer for scorer in scorers if scorer.scale.needs_explanation]
    unexplained = [scorer for scorer in scorers if not scorer.scale.needs_explanation]
    progress = Progress(len(mine) * (len(explainers) * len(explained) + len(unexplained)))
    work = Work(client, judge, recorder, progress, on_progress, is_recorded_only)

    def steps() -> Iterable[Callable[[], Awaitable[None]]]:
        for evidence in mine:
            key = evidence.dictionary, evidence.feature
            for explainer in explainers:
                texts, partner = told[explainer], partners[explainer].get(key)
                controls = dict(fixed[explainer].get(key, {}))
                if partner is not None:
                    controls["shuffled"] = texts[evidence.dictionary, partner] or ""
                for scorer in explained:
                    feature = _Feature(evidence, explainer, texts.get(key), controls, scorer, seed)
                    yield partial(_score_one, work, feature, others[evidence.dictionary])
            for scorer in unexplained:
                feature = _Feature(evidence, NO_EXPLAINER, None, {}, scorer, seed)
                yield partial(_score_one, work, feature, others[evidence.dictionary])

    await run_steps(work, steps(), n_workers)
    work.require_results()
    return Scoring(
        tuple(sorted(work.verdicts, key=_place)),
        tuple(sorted(work.unscored)),
        n_verdicts=work.progress.n_verdicts,
        n_unscored=work.progress.n_unscored,
        n_reasked=work.progress.n_reasked,
        n_requests=work.progress.n_requests,
    )


def _texts(
    explanations: Iterable[Explanation], explainers: Sequence[str]
) -> dict[str, dict[tuple[str, int], str | None]]:
    """What each explainer named says, by dictionary and feature."""
    told: dict[str, dict[tuple[str, int], str | None]] = {name: {} for name in explainers}
    for explanation in explanations:
        if explanation.explainer in told:
            told[explanation.explainer][explanation.dictionary, explanation.feature] = explanation.text
    return told


def _place(v: Verdict) -> tuple[str | int, ...]:
    return v.dictionary, v.feature, v.explainer, v.scorer, v.control or "", v.window


async def _explain_one(work: Work, explainer: Explainer, evidence: Evidence, seed: int) -> None:
    name = f"explaining {evidence.dictionary}/{evidence.feature}"
    reading = await guard(name, _read_one(work, explainer, evidence, seed)) or Reading(None, "error")
    explanation = Explanation(
        dictionary=evidence.dictionary,
        feature=evidence.feature,
        explainer=explainer.name,
        judge=NO_JUDGE if explainer.asks == "nobody" else work.judge,
        prompt_hash=explainer.prompt_hash,
        text=reading.text,
        failure=None if reading.text is not None else reading.failure or "error",
    )
    work.add_explanation(explanation)
    work.finish_one()


async def _read_one(work: Work, explainer: Explainer, evidence: Evidence, seed: int) -> Reading:
    use = ("explain", explainer.name, evidence.dictionary, evidence.feature)
    if explainer.asks == "nobody":
        return explainer.explain(evidence, stream(seed, *use))
    account = Account(evidence.dictionary, explainer.name, None, evidence.feature)
    first = requests = explainer.requests(evidence, stream(seed, *use))
    rounds: list[list[Reply | None]] = []
    while requests:
        rounds.append([_reply(await _last_word(work, explainer, request, account)) for request in requests])
        following: tuple[Request, ...] | Reading = Reading(None, "unparsed")
        try:
            following = explainer.follow(evidence, rounds, stream(seed, *use))
        finally:
            if isinstance(following, Reading):
                _note_first(work, account, first, rounds[0], following)
        if isinstance(following, Reading):
            return following
        requests = following
    return Reading(None, "missing")


def _note_first(
    work: Work, account: Account, requests: Sequence[Request], replies: Sequence[Reply | None], reading: Reading
) -> None:
    """Say whether the replies of the first round, of which an explanation came, could be read; a refusal is neither."""
    if reading.text is None and reading.failure != "unparsed":
        return
    for request, reply in zip(requests, replies, strict=True):
        if reply is not None:
            work.note_reading(account, request, reply, is_readable=reading.text is not None)


def _reply(outcome: Outcome) -> Reply | None:
    """What an explainer sees of an outcome: a refusal as such, any other failure as nothing."""
    if isinstance(outcome, Failure):
        return Reply("", "", finish="refused") if outcome.kind == "refused" else None
    return outcome


async def _last_word(work: Work, explainer: Explainer, request: Request, account: Account) -> Outcome:
    """The outcome of a request or, where its reply could not be read, of asking again; see `_answer`."""
    outcome = await work.ask(request, account)
    replies: list[Reply] = []
    while not isinstance(outcome, Failure):
        replies.append(outcome)
        again = explainer.reask(request, replies)
        if again is None:
            return outcome
        work.note_reading(account, request, outcome, is_readable=False)
        outcome = await work.reask(again, account)
    return replies[-1] if replies and outcome.kind == "error" else outcome


@dataclass(frozen=True, slots=True)
class _Feature:
    """One feature under one scorer; `text` is its own explanation, `controls` those it is judged with beside it, by the
    name of the control."""

    evidence: Evidence
    explainer: str
    text: str | None
    controls: Mapping[str, str]
    scorer: Scorer
    seed: int


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
    """The windows to judge, or why there are none. A feature without an explanation has nothing to be judged."""
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
    """One verdict per item, recorded. When the run stops, those whose answers were read are recorded all the same.

    Questions of a feature go one after the other: they share a prefix the server may cache.
    """
    evidence, scorer = feature.evidence, feature.scorer
    name = f"scoring {evidence.dictionary}/{evidence.feature}"
    account = Account(evidence.dictionary, feature.explainer, scorer.name, evidence.feature, control)
    answers: dict[str, AnswerRead] = {}

    async def ask_all() -> None:
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
    """Write the answers to one question into `answers`, by window, as they are read.

    A reply that could not be read may be asked for again. The judge's last word counts; a repetition that brought none
    leaves what was read before.
    """

    def write(read: Sequence[AnswerRead]) -> None:
        answers.update({item.key: answer for item, answer in zip(question.items, read, strict=True)})

    n = len(question.items)
    request: Request | None = question.request
    replies: list[Reply] = []
    while request is not None:
        outcome = await (work.reask(request, account) if replies else work.ask(request, account))
        if isinstance(outcome, Failure):
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
