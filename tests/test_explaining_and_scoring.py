from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from autointerp.config.asking import ExplainConfig, ExplainerConfig, LimitsConfig, ScoreConfig, ScorerConfig
from autointerp.errors import ArtefactError, JudgeStopped
from autointerp.explain.opening import open_explainer
from autointerp.explaining import explain_features
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client, Failure, Outcome
from autointerp.judges.judge import Capabilities, Judge, Reply, Request, Usage
from autointerp.judges.offline.pattern import open_judge as open_pattern
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Explanation, Unscored, Verdict
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.reply_cache import ReplyCache, open_reply_cache
from autointerp.runs.reply_record import Account
from autointerp.score import detection, marked
from autointerp.score.controls import GENERIC
from autointerp.score.listing import ListScorer
from autointerp.scoring import Scoring, score_features
from autointerp.workers import Tally
from tests.score.planted import fires_on, make_evidence

TOKENS = [" return", " class", " self", "ing", ":", " alpha"]
EVIDENCE = [
    make_evidence(fires_on(token), feature=number, dictionary=name, n_documents=250)
    for name in ("neurons", "sae")
    for number, token in enumerate(TOKENS)
]
SCORERS = [
    marked.open_scorer(ScorerConfig(name="marked", n_positive=5, n_negative=5, n_near_miss=0), ScoreConfig()),
    detection.open_scorer(
        ScorerConfig(name="detection", n_positive=8, n_negative=8, windows_per_request=6), ScoreConfig()
    ),
]


class Scripted:
    """A client whose answers a function gives; it yields `n_steps(request)` times first, to mix up completion."""

    def __init__(self, answer: Callable[[Request], Outcome | Exception], *, is_mixed: bool = False) -> None:
        self._answer, self._is_mixed = answer, is_mixed
        self.asked: list[Request] = []
        self.accounts: list[Account | None] = []
        self.n_active = self.most_active = 0

    async def ask(self, request: Request, *, account: Account | None = None) -> Outcome:
        self.asked.append(request)
        self.accounts.append(account)
        self.n_active += 1
        self.most_active = max(self.most_active, self.n_active)
        for _ in range(len(str(request.task)) * 7 % 11 if self._is_mixed else 1):
            await asyncio.sleep(0)
        self.n_active -= 1
        outcome = self._answer(request)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Kept:
    """A recorder in memory."""

    def __init__(self) -> None:
        self.explanations: list[Explanation] = []
        self.verdicts: list[Verdict] = []
        self.unscored: list[Unscored] = []
        self.n_flushes = 0

    def save_explanations(self, explanations: Iterable[Explanation]) -> None:
        self.explanations += explanations

    def save_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        self.verdicts += verdicts

    def save_unscored(self, unscored: Iterable[Unscored]) -> None:
        self.unscored += unscored

    def flush(self) -> None:
        self.n_flushes += 1


def truth_of(evidences: Sequence[Evidence]) -> dict[tuple[str, str], bool]:
    return {(f"{e.dictionary}/{e.feature}", w.text): w.is_firing for e in evidences for w in e.windows}


def oracle(request: Request) -> Outcome:
    truth = truth_of(EVIDENCE)
    task = request.task
    if isinstance(task, ExplainTask):
        text = "".join(task.windows[0].tokens)
        names = [name for (name, known) in truth if known == text]
        return Reply(f"[EXPLANATION]: {names[0]}", "oracle")
    answers = [int(truth.get((task.explanation, passage.text), False)) for passage in task.passages]
    return Reply(f'{{"answers": {answers}}}', "oracle")


def own_explanations(evidences: Sequence[Evidence] = EVIDENCE, **changes: object) -> list[Explanation]:
    return [
        replace(Explanation(e.dictionary, e.feature, "windows", "j", "h", f"{e.dictionary}/{e.feature}"), **changes)  # type: ignore[arg-type]
        for e in evidences
    ]


def explain(client: Scripted, n_workers: int = 4, kept: Kept | None = None) -> tuple[Explanation, ...]:
    explainer = open_explainer(ExplainerConfig(), ExplainConfig())
    return asyncio.run(
        explain_features(
            EVIDENCE, explainers=[explainer], client=client, judge="j", seed=0, n_workers=n_workers, recorder=kept
        )
    )


def score(
    client: Scripted,
    explanations: Sequence[Explanation] | None = None,
    *,
    evidences: Sequence[Evidence] = EVIDENCE,
    n_workers: int = 4,
    shuffled_frac: float = 0.0,
    **kwargs: object,
) -> Scoring:
    told = own_explanations() if explanations is None else explanations
    return asyncio.run(
        score_features(
            evidences,
            told,
            client=client,
            judge="j",
            explainers=["windows"],
            seed=0,
            shuffled_frac=shuffled_frac,
            n_workers=n_workers,
            **{"scorers": SCORERS, **kwargs},  # type: ignore[arg-type]
        )
    )


def test_the_oracle_is_always_right_from_end_to_end() -> None:
    explanations = explain(Scripted(oracle))
    assert [e.text for e in explanations] == [f"{e.dictionary}/{e.feature}" for e in EVIDENCE]
    scoring = score(Scripted(oracle), explanations)
    assert not scoring.unscored
    assert all(v.is_firing == (v.answer == "fires") for v in scoring.verdicts)
    assert {(v.dictionary, v.feature, v.scorer) for v in scoring.verdicts} == {
        (e.dictionary, e.feature, s.name) for e in EVIDENCE for s in SCORERS
    }


def test_the_mumbler_is_unparsed_everywhere() -> None:
    mumbler = Scripted(lambda _: Reply("well, maybe some of them", "m"))
    assert {(e.text, e.failure) for e in explain(mumbler)} == {(None, "unparsed")}
    scoring = score(mumbler)
    assert scoring.verdicts
    assert {v.answer for v in scoring.verdicts} == {"unparsed"}


def test_neither_order_nor_concurrency_changes_a_result() -> None:
    results = []
    for n_workers, is_mixed, order in ((1, False, 1), (16, True, 1), (16, True, -1)):
        client = Scripted(oracle, is_mixed=is_mixed)
        explanations = explain(client, n_workers)
        scoring = score(
            client, explanations[::order], evidences=EVIDENCE[::order], n_workers=n_workers, shuffled_frac=0.5
        )
        results.append((explanations, scoring, sorted(str(request) for request in client.asked)))
    assert results[0] == results[1] == results[2]


def test_workers_are_bounded() -> None:
    client = Scripted(oracle, is_mixed=True)
    score(client, n_workers=3)
    assert client.most_active == 3


def test_explain_windows_are_never_scored() -> None:
    client = Scripted(oracle)
    score(client, explain(client), shuffled_frac=1.0)
    shown = {"".join(w.tokens) for r in client.asked if isinstance(r.task, ExplainTask) for w in r.task.windows}
    asked = {p.text for r in client.asked if isinstance(r.task, ScoreTask) for p in r.task.passages}
    assert shown and asked
    assert not shown & asked


def test_nothing_but_text_and_marks_reaches_a_scoring_task() -> None:
    client = Scripted(oracle)
    score(client)
    for request in client.asked:
        assert isinstance(request.task, ScoreTask)
        assert set(ScoreTask.__dataclass_fields__) == {"explanation", "passages", "asks"}
        assert all(type(passage) is Passage for passage in request.task.passages)
        words = " ".join(message.content for message in request.messages)
        for evidence in EVIDENCE:
            assert not any(window.id in words or window.document in words for window in evidence.windows)


def test_shuffled_controls_judge_the_same_windows_with_another_explanation() -> None:
    client = Scripted(oracle)
    scoring = score(client, shuffled_frac=0.5)
    control = [v for v in scoring.verdicts if v.control == "shuffled"]
    drawn = {(v.dictionary, v.feature) for v in control}
    assert len(drawn) == 6
    own = [v for v in scoring.verdicts if v.control is None and (v.dictionary, v.feature) in drawn]
    assert [(v.scorer, v.window, v.kind, v.is_firing) for v in control] == [
        (v.scorer, v.window, v.kind, v.is_firing) for v in own
    ]
    assert [v.answer for v in control] != [v.answer for v in own]


def test_empty_and_generic_controls_judge_the_same_windows_by_what_is_said_of_all() -> None:
    client = Scripted(oracle)
    scoring = score(client, shuffled_frac=0.5, control_fracs={"empty": 0.5, "generic": 0.25})
    told = {request.task.explanation for request in client.asked if isinstance(request.task, ScoreTask)}
    assert {"", GENERIC} <= told
    for control, n in (("empty", 6), ("generic", 3)):
        judged = [v for v in scoring.verdicts if v.control == control]
        drawn = {(v.dictionary, v.feature) for v in judged}
        # a share of each dictionary's features, rounded
        assert abs(len(drawn) - n) <= len({name for name, _ in drawn})
        own = [v for v in scoring.verdicts if v.control is None and (v.dictionary, v.feature) in drawn]
        assert {(v.scorer, v.window, v.is_firing) for v in judged} == {(v.scorer, v.window, v.is_firing) for v in own}


def test_evidence_that_leaks_ends_the_run() -> None:
    first = EVIDENCE[0]
    shown = first.select("explain", "top")[0]
    leaking = replace(first, windows=(*first.windows, replace(shown, id="again", role="score")))
    with pytest.raises(ArtefactError, match="serves both explain and score"):
        score(Scripted(oracle), evidences=(leaking, *EVIDENCE[1:]))


@pytest.mark.parametrize("failure", ["unparsed", "refused", "error"])
def test_a_failed_explanation_is_never_scored(failure: str) -> None:
    client = Scripted(oracle)
    told = own_explanations()
    told[2] = replace(told[2], text=None, failure=failure)  # type: ignore[arg-type]
    scoring = score(client, told, shuffled_frac=1.0)
    lost = (told[2].dictionary, told[2].feature)
    assert {(u.dictionary, u.feature, u.reason) for u in scoring.unscored} == {(*lost, "judge")}
    assert lost not in {(v.dictionary, v.feature) for v in scoring.verdicts}


def test_failures_of_the_judge_become_records() -> None:
    outcomes: dict[str, Outcome | Exception] = {
        "refused": Failure("refused", "content filter"),
        "error": Failure("error", "gave up after 6 tries"),
    }
    for answer, outcome in outcomes.items():
        client = Scripted(lambda _, outcome=outcome: outcome)
        assert {(e.text, e.failure) for e in explain(client)} == {(None, answer)}
        assert {v.answer for v in score(client).verdicts} == {answer}


def test_one_broken_request_costs_its_own_windows_only() -> None:
    client = Scripted(lambda r: ZeroDivisionError() if "sae/3" in str(r.task) else oracle(r))
    verdicts = score(client).verdicts
    broken = {(v.dictionary, v.feature) for v in verdicts if v.answer == "error"}
    assert broken == {("sae", 3)}
    assert all(v.answer == "error" for v in verdicts if (v.dictionary, v.feature) == ("sae", 3))
    assert {e.failure for e in explain(Scripted(lambda _: ZeroDivisionError()))} == {"error"}


def test_a_broken_scorer_leaves_counted_features() -> None:
    class Broken(ListScorer):
        def sample(self, *_: object, **__: object) -> NoReturn:
            raise KeyError("no such window")

    broken = Broken(ScorerConfig(name="broken"), ScoreConfig(), prompt="detection", has_marks=False)
    scoring = score(Scripted(oracle), scorers=[broken])
    assert len(scoring.unscored) == len(EVIDENCE)
    assert {u.reason for u in scoring.unscored} == {"judge"}


@pytest.mark.parametrize("error", [JudgeStopped("wrong key"), ArtefactError("journal: no space left")])
def test_a_stop_ends_the_run_and_keeps_what_is_done(error: Exception) -> None:
    kept = Kept()
    once = [error]  # raised to one worker only: the others have to be ended by the loop
    client = Scripted(lambda r: once.pop() if once and len(client.asked) > 20 else oracle(r))
    with pytest.raises(type(error)):
        score(client, n_workers=2, recorder=kept)
    assert kept.verdicts
    assert kept.n_flushes == 1
    assert len(client.asked) <= 24  # what the other worker had begun, of 48 in all
    kept = Kept()
    once = [error]
    client = Scripted(lambda r: once.pop() if once and len(client.asked) > 5 else oracle(r))
    with pytest.raises(type(error)):
        explain(client, 2, kept)
    assert 3 <= len(kept.explanations) <= 7  # what the other worker had begun, of 12 in all


def test_results_are_recorded_as_they_come_and_all_of_them() -> None:
    kept, seen = Kept(), []

    def look(progress: Tally) -> None:
        seen.append((progress.n_done, len({(v.dictionary, v.feature, v.scorer) for v in kept.verdicts})))

    scoring = score(Scripted(oracle), n_workers=1, recorder=kept, on_progress=look)
    assert seen == [(n, n) for n in range(1, len(EVIDENCE) * len(SCORERS) + 1)]
    assert sorted(map(str, kept.verdicts)) == sorted(map(str, scoring.verdicts))


def test_unscored_evidence_is_neither_explained_nor_asked_about() -> None:
    marked_off = [replace(EVIDENCE[0], unscored="too_few_positives")]
    client = Scripted(oracle)
    scoring = score(client, evidences=marked_off)
    assert [u.reason for u in scoring.unscored] == ["too_few_positives"] * 2
    explained = asyncio.run(
        explain_features(
            marked_off,
            explainers=[open_explainer(ExplainerConfig(), ExplainConfig())],
            client=client,
            judge="j",
            seed=0,
        )
    )
    assert explained == ()
    assert client.asked == []


def test_every_request_is_booked_to_its_dictionary_and_scorer() -> None:
    client = Scripted(oracle)
    explain(client)
    assert Counter(account[:3] for account in client.accounts) == {
        (name, "windows", None): len(TOKENS) for name in ("neurons", "sae")
    }
    client = Scripted(oracle)
    score(client, shuffled_frac=0.5)
    assert Counter(account[:3] for account in client.accounts) == {
        # 10 windows in one request, 16 in three; three of six features are controls, too
        (name, "windows", scorer): n * (6 + 3)
        for name in ("neurons", "sae")
        for scorer, n in (("marked", 1), ("detection", 3))
    }


class Paid:
    """A judge that answers like the oracle and takes a price, or states none."""

    capabilities = Capabilities(endpoint="https://paid.example/v1", model="m")

    def __init__(self, usd: float | None = 0.25) -> None:
        self.usd, self.n_asked = usd, 0

    async def ask(self, request: Request) -> Reply:
        self.n_asked += 1
        reply = oracle(request)
        assert isinstance(reply, Reply)
        return replace(reply, usage=Usage(usd=self.usd))

    async def aclose(self) -> None:
        return None


def costs_of(judge: Judge, folder: Path, journal_name: str) -> Mapping[Account, float | None] | None:
    """What the journal says a run of both stages cost, after the run went through it once more."""

    async def work(journal: Journal, cache: ReplyCache) -> None:
        async with Client(judge, journal=journal, cache=cache, limits=LimitsConfig(), budget=Budget()) as client:
            explanations = await explain_features(
                EVIDENCE,
                explainers=[open_explainer(ExplainerConfig(), ExplainConfig())],
                client=client,
                judge="j",
                seed=0,
                recorder=journal,
            )
            await score_features(
                EVIDENCE,
                explanations,
                explainers=["windows"],
                scorers=SCORERS,
                client=client,
                judge="j",
                seed=0,
                recorder=journal,
            )

    with open_journal(folder / journal_name) as journal, open_reply_cache(folder / "replies.sqlite") as cache:
        asyncio.run(work(journal, cache))
        cache.flush()
        return journal.load_costs()


def test_costs_are_right_at_first_on_resume_and_from_the_shared_cache(tmp_path: Path) -> None:
    judge, n = Paid(), len(TOKENS)
    paid = {Account(name, "windows", None): n * 0.25 for name in ("neurons", "sae")}
    paid |= {
        Account(name, "windows", scorer): n * k * 0.25
        for name in ("neurons", "sae")
        for scorer, k in (("marked", 1), ("detection", 3))
    }
    assert costs_of(judge, tmp_path, "first.sqlite") == paid
    n_asked = judge.n_asked
    assert n_asked * 0.25 == sum(paid.values())
    assert costs_of(judge, tmp_path, "first.sqlite") == paid
    assert costs_of(judge, tmp_path, "second.sqlite") == dict.fromkeys(paid, 0.0)
    assert judge.n_asked == n_asked


def test_a_local_judge_is_free_and_an_endpoint_without_a_price_is_unknown(tmp_path: Path) -> None:
    assert set((costs_of(open_pattern(None, {}), tmp_path, "free.sqlite") or {}).values()) == {0.0}
    with open_journal(tmp_path / "free.sqlite") as journal:
        assert journal.totals().n_unpriced == 0
    assert set((costs_of(Paid(None), tmp_path, "unknown.sqlite") or {}).values()) == {None}


def test_the_true_reason_is_recorded_also_where_there_is_no_explanation() -> None:
    """Too few windows is a fact about the feature; that nobody explained it comes second."""
    silent = [w for w in EVIDENCE[0].windows if (w.role, w.kind) == ("score", "random")]
    thin = replace(EVIDENCE[0], windows=tuple(w for w in EVIDENCE[0].windows if w not in silent[4:]))
    evidences = [thin, EVIDENCE[1], EVIDENCE[2]]
    told = own_explanations(evidences)
    told[0], told[1] = (replace(e, text=None, failure="error") for e in told[:2])
    kept = Kept()
    scoring = score(Scripted(oracle), told, evidences=evidences, recorder=kept)
    assert {(u.feature, u.reason) for u in kept.unscored} == {(0, "too_few_negatives"), (1, "judge")}
    assert sorted(kept.unscored) == list(scoring.unscored)
    assert {u.scorer for u in kept.unscored} == {"marked", "detection"}


def test_the_language_half_loads_no_torch() -> None:
    code = (
        "import sys, autointerp.explaining, autointerp.scoring, "
        "autointerp.explain.windows, autointerp.score.marked, autointerp.score.detection,"
        "autointerp.score.presets, autointerp.judges.offline.pattern_learning; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
