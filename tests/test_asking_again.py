"""Replies that cannot be read, on their way through the loop: asked again, counted, paid, and never lost."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autointerp.config.asking import ExplainConfig, ExplainerConfig, LimitsConfig, ScoreConfig, ScorerConfig
from autointerp.errors import JudgeStopped, LimitReached, RunStopped
from autointerp.explain.opening import open_explainer
from autointerp.explaining import explain_features
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client, Failure, Outcome
from autointerp.judges.judge import Capabilities, Reply, Request, Usage
from autointerp.judges.tasks import ExplainTask, ScoreTask
from autointerp.records.verdict import Explanation, Verdict
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.reply_record import Account
from autointerp.score import detection, marked
from autointerp.score.listing import ListScorer
from autointerp.score.scorer import Scorer
from autointerp.scoring import Scoring, score_features
from autointerp.workers import Asker, Tally
from tests.score.planted import fires_on, make_evidence

EVIDENCE = [make_evidence(fires_on(token), feature=i, n_documents=250) for i, token in enumerate([" self", "ing"])]
TOLD = [Explanation("planted", i, "windows", "j", "h", f"feature {i}") for i in range(len(EVIDENCE))]
MUMBLE = "well, maybe some of them"

Answer = Callable[[Request], Outcome | Exception]


def n_reasks(request: Request) -> int:
    return sum(message.role == "assistant" for message in request.messages)


def right(request: Request, spoil: Callable[[list[int]], str] = json.dumps) -> Reply:
    if isinstance(request.task, ExplainTask):
        return Reply("[EXPLANATION]: read at last", "m")
    assert isinstance(request.task, ScoreTask)
    return Reply(spoil([i % 2 for i in range(len(request.task.passages))]), "m")


def mumble_first(request: Request) -> Reply:
    return right(request) if n_reasks(request) else Reply(MUMBLE, "m")


class Asked:
    """A client whose answers a function gives."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.accounts: list[Account | None] = []

    async def ask(self, request: Request, *, account: Account | None = None) -> Outcome:
        self.requests.append(request)
        self.accounts.append(account)
        await asyncio.sleep(0)
        outcome = self.answer(request)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Kept:
    """A recorder of verdicts."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []

    def save_explanations(self, explanations: object) -> None: ...

    def save_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        self.verdicts += verdicts

    def save_unscored(self, unscored: object) -> None: ...

    def flush(self) -> None: ...


def scorer(name: str = "detection", **score: object) -> ListScorer:
    settings = ScorerConfig(name=name, n_positive=6, n_negative=6, n_near_miss=0, windows_per_request=6)
    return {"detection": detection, "marked": marked}[name].open_scorer(settings, ScoreConfig.model_validate(score))


def score(client: Asker, *, recorder: Kept | Journal | None = None, n_workers: int = 2, **settings: object) -> Scoring:
    return asyncio.run(ascore(client, recorder=recorder, n_workers=n_workers, **settings))


async def ascore(
    client: Asker, *, recorder: Kept | Journal | None = None, n_workers: int = 2, **settings: object
) -> Scoring:
    return await score_features(
        EVIDENCE,
        TOLD,
        explainers=["windows"],
        scorers=[scorer(**settings)],  # type: ignore[arg-type]
        client=client,
        judge="j",
        seed=0,
        n_workers=n_workers,
        recorder=recorder,
    )


def explain(client: Asker, **settings: object) -> tuple[tuple[Explanation, ...], int]:
    seen = [0]

    def look(state: Tally) -> None:
        seen[0] = state.n_reasked

    explainer = open_explainer(ExplainerConfig(), ExplainConfig.model_validate(settings))
    explanations = asyncio.run(
        explain_features(EVIDENCE, explainers=[explainer], client=client, judge="j", seed=0, on_progress=look)
    )
    return explanations, seen[0]


def answers(scoring: Scoring) -> set[str]:
    return {verdict.answer for verdict in scoring.verdicts}


def test_an_unread_reply_is_asked_again_with_what_was_wrong() -> None:
    client = Asked(mumble_first)
    scoring = score(client)
    assert answers(scoring) == {"fires", "silent"}
    assert scoring.n_reasked == 4  # two features, two questions each
    assert len(client.requests) == 8
    first = {request.messages: request for request in client.requests if not n_reasks(request)}
    for request, account in zip(client.requests, client.accounts, strict=True):
        assert account is not None
        assert (account.dictionary, account.scorer) == ("planted", "detection")
        if n_reasks(request):
            asked = first[request.messages[:2]]
            assert request.messages[2].content == MUMBLE
            assert "no list of answers could be found in it" in request.messages[3].content
            assert "all 6 of them" in request.messages[3].content
            assert replace(request, messages=asked.messages) == asked


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda bits: json.dumps(bits[1:]), "its list had another length, 5"),
        (lambda bits: json.dumps({"answers": [*bits, 1]}), "its list had another length, 7"),
        (lambda bits: f"Either {bits} or {[1 - b for b in bits]}.", "it did not give one list of answers as its last"),
        (lambda bits: "", "it was empty"),
    ],
)
def test_the_judge_is_told_what_was_wrong(spoil: Callable[[list[int]], str], said: str) -> None:
    client = Asked(lambda request: right(request) if n_reasks(request) else right(request, spoil))
    assert answers(score(client)) == {"fires", "silent"}
    assert all(said in request.messages[3].content for request in client.requests if n_reasks(request))


@pytest.mark.parametrize(("reasks", "n_requests"), [(0, 4), (1, 8), (2, 12)])
def test_it_is_asked_as_often_as_the_config_says(reasks: int, n_requests: int) -> None:
    client = Asked(lambda _: Reply(MUMBLE, "m"))
    scoring = score(client, reasks=reasks)
    assert answers(scoring) == {"unparsed"}
    assert (len(client.requests), scoring.n_reasked) == (n_requests, n_requests - 4)
    assert max(map(n_reasks, client.requests)) == reasks
    explained = Asked(lambda _: Reply(MUMBLE, "m"))
    explanations, n_reasked = explain(explained, reasks=reasks)
    assert {(e.text, e.failure) for e in explanations} == {(None, "unparsed")}
    assert (len(explained.requests), n_reasked) == (2 * (reasks + 1), 2 * reasks)


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (Reply("I'm sorry, but I can't help with that.", "m"), "refused"),
        (Reply("", "m", finish="refused"), "refused"),
        (Failure("refused", "filter"), "refused"),
        (Failure("error", "gave up"), "error"),
        (Reply("[1, null, 0, 0, 1, 1]", "m"), None),
    ],
)
def test_refusals_errors_and_lists_with_gaps_are_taken_as_they_are(outcome: Outcome, answer: str | None) -> None:
    client = Asked(lambda _: outcome)
    scoring = score(client)
    assert answers(scoring) == ({answer} if answer else {"fires", "silent", "unparsed"})
    assert (scoring.n_reasked, len(client.requests)) == (0, 4)


@pytest.mark.parametrize(
    ("second", "answer", "failure"),
    [
        (Reply(MUMBLE, "m"), "unparsed", "unparsed"),
        (Failure("error", "gave up"), "unparsed", "unparsed"),  # nobody answered: what was said before stands
        (Failure("refused", "filter"), "refused", "refused"),
        (Reply("I cannot help with that.", "m"), "refused", "refused"),
    ],
)
def test_the_last_word_counts(second: Outcome, answer: str, failure: str) -> None:
    client = Asked(lambda request: second if n_reasks(request) else Reply(MUMBLE, "m"))
    assert answers(score(client)) == {answer}
    explanations, _ = explain(client)
    assert {(e.text, e.failure) for e in explanations} == {(None, failure)}


def test_an_explanation_is_asked_for_again() -> None:
    client = Asked(mumble_first)
    explanations, n_reasked = explain(client)
    assert [e.text for e in explanations] == ["read at last"] * 2
    assert n_reasked == 2
    again = [request for request in client.requests if n_reasks(request)]
    assert all("no line that begins with [EXPLANATION]:" in request.messages[3].content for request in again)
    assert {account[:3] for account in client.accounts if account} == {("planted", "windows", None)}


def test_hashes_tell_runs_that_ask_again_from_those_that_do_not() -> None:
    assert scorer(reasks=1).prompt_hash == scorer(reasks=2).prompt_hash != scorer(reasks=0).prompt_hash
    hashes = {open_explainer(ExplainerConfig(), ExplainConfig(reasks=reasks)).prompt_hash for reasks in (0, 1)}
    assert len(hashes) == 2
    assert {v.prompt_hash for v in score(Asked(mumble_first)).verdicts} == {scorer().prompt_hash}


@pytest.mark.parametrize("error", [LimitReached("limits.max_usd is reached"), JudgeStopped("wrong key")])
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_stop_while_asking_again_loses_no_verdict_of_the_first_reply(error: RunStopped, n_workers: int) -> None:
    """The first question of each feature is read; the second is not, and asking again stops the run."""
    kept = Kept()
    n_asked = [0]

    def answer(request: Request) -> Outcome | Exception:
        if n_reasks(request):
            return error
        n_asked[0] += 1
        return right(request) if n_asked[0] <= n_workers else Reply(MUMBLE, "m")

    with pytest.raises(type(error), match=str(error)):
        score(Asked(answer), recorder=kept, n_workers=n_workers)
    by_answer = [verdict.answer for verdict in kept.verdicts]
    assert by_answer.count("unparsed") == 6 * n_workers
    assert by_answer.count("fires") == by_answer.count("silent") == 3 * n_workers


class Paid:
    """A judge that mumbles first and takes 0.25 dollars for each reply."""

    capabilities = Capabilities(endpoint="https://paid.example/v1", model="m")

    def __init__(self) -> None:
        self.n_asked = 0

    def bound_usd(self, request: Request) -> float:
        return 0.25

    async def ask(self, request: Request) -> Reply:
        self.n_asked += 1
        return replace(mumble_first(request), usage=Usage(usd=0.25))

    async def aclose(self) -> None:
        return None


def run_paid(judge: Paid, path: Path, *, max_usd: float | None = None) -> Scoring:
    async def work(journal: Journal) -> Scoring:
        budget = Budget(max_usd=max_usd, spent_usd=journal.totals().usd)
        async with Client(judge, journal=journal, cache=None, limits=LimitsConfig(), budget=budget) as client:
            return await ascore(client, recorder=journal)

    with open_journal(path) as journal:
        return asyncio.run(work(journal))


def test_both_replies_are_journalled_paid_and_found_again(tmp_path: Path) -> None:
    judge, path = Paid(), tmp_path / "journal.sqlite"
    first = run_paid(judge, path)
    assert judge.n_asked == 8
    with open_journal(path) as journal:
        totals = journal.totals()
        costs = journal.load_costs()
    assert (totals.n_replies, totals.usd) == (8, 2.0)
    assert costs is not None
    assert sum(cost or 0.0 for cost in costs.values()) == 2.0
    assert run_paid(judge, path) == first
    assert judge.n_asked == 8


def test_asking_again_stays_within_the_budget(tmp_path: Path) -> None:
    judge, path = Paid(), tmp_path / "journal.sqlite"
    with pytest.raises(LimitReached):
        run_paid(judge, path, max_usd=1.25)
    assert judge.n_asked == 5
    whole = run_paid(judge, path)
    assert judge.n_asked == 8
    assert whole == run_paid(Paid(), tmp_path / "another.sqlite")


def test_a_plug_in_that_does_not_ask_again_is_left_alone() -> None:
    class Plain(Scorer):
        """A scorer that has all but `reask`."""

        prompt_hash = "plain"

        def __init__(self, inner: ListScorer) -> None:
            super().__init__(ScorerConfig(name="plain"), ScoreConfig())
            self._inner = inner

        def sample(self, *given: Any, **others: Any) -> Any:
            return self._inner.sample(*given, **others)

        def questions(self, *given: Any) -> Any:
            return self._inner.questions(*given)

        def read(self, *given: Any) -> Any:
            return self._inner.read(*given)

    client = Asked(lambda _: Reply(MUMBLE, "m"))
    scoring = asyncio.run(
        score_features(
            EVIDENCE, TOLD, explainers=["windows"], scorers=[Plain(scorer())], client=client, judge="j", seed=0
        )
    )
    assert answers(scoring) == {"unparsed"}
    assert (scoring.n_reasked, len(client.requests)) == (0, 4)


def test_a_plug_in_that_fails_while_asking_again_keeps_what_was_read() -> None:
    class Broken(ListScorer):
        def reask(self, *_: object) -> Request | None:
            raise KeyError("no such prompt")

    settings = ScorerConfig(name="detection", n_positive=6, n_negative=6, n_near_miss=0, windows_per_request=6)
    broken = Broken(settings, ScoreConfig(), prompt="detection", has_marks=False)
    client = Asked(lambda _: Reply(MUMBLE, "m"))
    scoring = asyncio.run(
        score_features(EVIDENCE, TOLD, explainers=["windows"], scorers=[broken], client=client, judge="j", seed=0)
    )
    assert answers(scoring) == {"unparsed"}


def test_a_verdict_has_the_judges_probability() -> None:
    """From token probabilities, from the judge's own, and from the reply that was read, not from one before it."""
    chances = [0.9, 0.2, 0.7, 0.4, 0.05, 0.6]

    def spelled(request: Request) -> Reply:
        bits = [int(chance > 0.5) for chance in chances]
        tokens: list[tuple[str, dict[str, float]]] = [("<think>", {}), ("1", {"1": 0.0}), ("</think>", {}), ("[", {})]
        for number, chance in enumerate(chances):
            labels = {" 1": math.log(chance), " 0": math.log(1 - chance)}
            tokens += [(",", {})] if number else []
            tokens.append((f" {bits[number]}", labels))
        tokens.append(("]", {}))
        text = "".join(token for token, _ in tokens[3:])
        return Reply(text, "m", token_logprobs=tuple(tokens))

    def stated(request: Request) -> Reply:
        return replace(spelled(request), probabilities=tuple(chance / 2 for chance in chances))

    def late(request: Request) -> Reply:
        return spelled(request) if n_reasks(request) else Reply(MUMBLE, "m", probabilities=(0.5,) * 6)

    for judge, factor in ((spelled, 1.0), (stated, 0.5), (late, 1.0)):
        scoring = score(Asked(judge))
        found = [verdict.probability for verdict in scoring.verdicts]
        assert sorted(p for p in found if p is not None) == pytest.approx(sorted(factor * c for c in chances * 4))
        for verdict in scoring.verdicts:
            assert verdict.probability is not None
            assert (verdict.answer == "fires") == (verdict.probability > 0.5 * factor)
    assert {v.probability for v in score(Asked(lambda _: Reply(MUMBLE, "m", probabilities=(0.5,) * 6))).verdicts} == {
        None
    }
