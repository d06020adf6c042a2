"""Replies that nobody can read: the first ten end the asking, nothing but such end the run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from autointerp.config.asking import ExplainConfig, ExplainerConfig, ScoreConfig, ScorerConfig
from autointerp.errors import JudgeStopped
from autointerp.explain.opening import open_explainer
from autointerp.explaining import explain_features
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client
from autointerp.judges.judge import Reply, Request, Usage
from autointerp.judges.tasks import ExplainTask, ScoreTask
from autointerp.records.verdict import Explanation
from autointerp.runs.journal import open_journal
from autointerp.runs.journal_reader import Totals
from autointerp.score import detection, marked
from autointerp.score.listing import ListScorer
from autointerp.scoring import score_features
from tests.judges.questions import FAST, limits
from tests.judges.test_client import Handmade
from tests.score.planted import fires_on, make_evidence

CUT = Reply("Let me think about what these", "m", finish="length", usage=Usage(10, 50, 0, 0.5))
EMPTY = Reply(" ", "m", usage=Usage(10, 50, 0, 0.5))
PROSE = Reply("well, maybe some of them", "m", usage=Usage(10, 9, 0, 0.5))


def evidences(n: int) -> list[Any]:
    return [make_evidence(fires_on(" return"), feature=number, dictionary="sae", n_documents=40) for number in range(n)]


def told(reply: Reply | None, request: Request) -> Reply:
    """`reply`, or one that can be read."""
    if reply is not None:
        return reply
    return Reply("[EXPLANATION]: it", "m") if isinstance(request.task, ExplainTask) else Reply("[1]", "m")


def ask(path: Path, judge: Handmade, work: Any) -> tuple[Totals, str]:
    """What the journal holds in the end, and why the run was stopped: nothing where it was not."""

    async def inner() -> None:
        with open_journal(path) as journal:
            settings: dict[str, Any] = {"limits": limits(max_concurrent=2), "budget": Budget(), "schedule": FAST}
            async with Client(judge, journal=journal, cache=None, **settings) as client:
                await work(client, journal)

    why = ""
    try:
        asyncio.run(inner())
    except JudgeStopped as error:
        why = str(error)
    with open_journal(path) as journal:
        return journal.totals(), why


def explaining(n: int) -> Any:
    explainer = open_explainer(ExplainerConfig(), ExplainConfig(max_tokens=123))

    async def work(client: Client, journal: Any) -> None:
        settings: dict[str, Any] = {"judge": "openai:m", "seed": 0, "n_workers": 2, "recorder": journal}
        await explain_features(evidences(n), explainers=[explainer], client=client, **settings)

    return work


def scoring(n: int) -> Any:
    asked = [
        factory.open_scorer(
            ScorerConfig(name=name, n_positive=2, n_negative=2, n_near_miss=0, windows_per_request=1), ScoreConfig()
        )
        for name, factory in (("detection", detection), ("marked", marked))
    ]

    async def work(client: Client, journal: Any) -> None:
        known = [Explanation("sae", number, "windows", "j", "h", "it") for number in range(n)]
        settings: dict[str, Any] = {"judge": "openai:m", "seed": 0, "n_workers": 2, "recorder": journal}
        await score_features(evidences(n), known, explainers=["windows"], scorers=asked, client=client, **settings)

    return work


@pytest.mark.parametrize(
    ("reply", "parts"),
    [
        (CUT, ("cut off at max_tokens = 123", "begins 'Let me think", "raise explain.max_tokens")),
        (EMPTY, (" empty;", "raise explain.max_tokens")),
        (PROSE, (" of another form;", "begins 'well, maybe", "another reply_format")),
    ],
)
def test_after_ten_that_cannot_be_read_no_more_are_asked_for(
    tmp_path: Path, reply: Reply, parts: tuple[str, ...]
) -> None:
    async def answer(request: Request) -> Reply:
        return reply

    judge, again = Handmade(answer), Handmade(answer)
    totals, why = ask(tmp_path / "j", judge, explaining(80))
    assert all(part in why for part in ("the first 1", "to explainer windows cannot be read", *parts)), why
    assert 10 <= len(judge.asked) <= 12
    assert totals.n_replies == len(judge.asked)
    _, why = ask(tmp_path / "j", again, explaining(80))
    assert "cannot be read" in why
    assert again.asked == [], "it was paid for twice"


def test_each_use_of_a_judge_counts_for_itself(tmp_path: Path) -> None:
    """A judge that can answer one scorer and not the other."""

    async def answer(request: Request) -> Reply:
        assert isinstance(request.task, ScoreTask)
        return PROSE if request.task.passages[0].mark else told(None, request)

    judge = Handmade(answer)
    _, why = ask(tmp_path / "j", judge, scoring(30))
    assert "to scorer marked cannot be read" in why
    assert len(judge.asked) < 30


@pytest.mark.parametrize("work", [explaining, scoring])
def test_a_few_features_of_nothing_but_garbage_are_no_result(tmp_path: Path, work: Any) -> None:
    async def answer(request: Request) -> Reply:
        return PROSE

    _, why = ask(tmp_path / "j", Handmade(answer), work(1))
    assert why.startswith("none of the ") and "unparsed; replies were" in why and "of another form" in why


@pytest.mark.parametrize("work", [explaining, scoring])
def test_nor_are_failures_alone(tmp_path: Path, work: Any) -> None:
    async def answer(request: Request) -> Reply:
        raise KeyError("choices")

    _, why = ask(tmp_path / "j", Handmade(answer), work(1))
    assert why.startswith("none of the ") and " error)" in why


def test_a_reader_that_fails_on_every_reply_reads_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a scorer or an explainer of others costs ten replies, not all of them."""

    def stumble(*_: Any) -> Any:
        raise KeyError("answers")

    async def answer(request: Request) -> Reply:
        return told(None, request)

    monkeypatch.setattr(ListScorer, "read", stumble)
    judge = Handmade(answer)
    _, why = ask(tmp_path / "j", judge, scoring(30))
    assert "cannot be read" in why
    assert len(judge.asked) < 30


def test_one_reply_that_can_be_read_lets_the_run_go_on(tmp_path: Path) -> None:
    n_asked = [0]

    async def answer(request: Request) -> Reply:
        n_asked[0] += 1
        return told(None if n_asked[0] == 7 else CUT, request)

    totals, why = ask(tmp_path / "j", Handmade(answer), explaining(30))
    assert (totals.n_explanations, why) == (30, "")
    assert totals.n_replies > 30


def test_features_that_nothing_was_asked_about_are_no_garbage(tmp_path: Path) -> None:
    totals, why = ask(tmp_path / "j", Handmade(), explaining(0))
    assert (totals.n_replies, why) == (0, "")
