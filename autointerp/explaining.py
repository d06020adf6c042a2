"""Having features explained: many at once, with the same result in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from autointerp.explain.explainer import Explainer, Reading
from autointerp.judges.engine.client import Failure, Outcome
from autointerp.judges.judge import Reply, Request
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_book import some_of
from autointerp.records.verdict import NO_JUDGE, Explanation
from autointerp.runs.reply_record import Account
from autointerp.seeds import stream
from autointerp.workers import Asker, Recorder, Tally, Work, guard, run_steps

__all__ = ["explain_features"]


async def explain_features(
    evidences: Sequence[Evidence],
    *,
    explainers: Sequence[Explainer],
    client: Asker,
    judge: str,
    seed: int,
    n_workers: int = 16,
    recorder: Recorder | None = None,
    is_recorded_only: bool = False,
    on_progress: Callable[[Tally], None] | None = None,
) -> tuple[Explanation, ...]:
    """Explanations by every explainer of every feature that can be scored, sorted by dictionary, feature and explainer;
    none with `is_recorded_only`, when the recorder alone keeps them and `on_progress` counts them.

    A resumed run asks again; the client answers from the journal. Raises RunStopped or ArtefactError after what is
    finished has been flushed; any other failure becomes the feature's record.
    """
    wanted = some_of(evidences, lambda e: e.unscored is None)
    tally = Tally(len(wanted) * len(explainers))
    work = Work(client, judge, recorder, tally, on_progress, is_recorded_only)
    steps = (partial(_explain_one, work, explainer, evidence, seed) for evidence in wanted for explainer in explainers)
    await run_steps(work, steps, n_workers)
    work.require_results()
    return tuple(sorted(work.explanations, key=lambda e: (e.dictionary, e.feature, e.explainer)))


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
    """Say whether the replies of the first round could be read; a refusal is neither."""
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
    """The outcome of asking, and of asking again where a reply could not be read."""
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
