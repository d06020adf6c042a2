"""A scorer from sampling to the row of the table, with a judge that answers from the task and nothing in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from autointerp.board.score_row import score_feature
from autointerp.config.asking import ScoreConfig, ScorerEntry
from autointerp.judges.judge import Judge, Reply, Request
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Explanation, Verdict
from autointerp.runs.reply_record import Account
from autointerp.score import opening
from autointerp.score.scorer import Item, Scorer, Unscorable
from autointerp.scoring import score_features
from autointerp.seeds import stream


class Direct:
    """A client that asks the judge, once."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.requests: list[Request] = []

    async def ask(self, request: Request, *, account: Account | None = None) -> Reply:
        self.requests.append(request)
        return await self.judge.ask(request)


def open_scorer(name: str, score: ScoreConfig | None = None, **settings: Any) -> Scorer:
    return opening.open_scorer(ScorerEntry(name=name, **settings), score or ScoreConfig())


def items_of(scorer: Scorer, evidence: Evidence, *, seed: int = 0, others: Sequence[Evidence] = ()) -> tuple[Item, ...]:
    items = scorer.sample(evidence, stream(seed, "test"), others=others)
    assert not isinstance(items, Unscorable), items
    return items


def judged(scorer: Scorer, evidence: Evidence, judge: Judge, explanation: str) -> tuple[Verdict, ...]:
    """All verdicts about one feature."""
    told = Explanation(evidence.dictionary, evidence.feature, "e", "j", "h", explanation)
    done = asyncio.run(
        score_features([evidence], [told], explainers=["e"], scorers=[scorer], client=Direct(judge), judge="j", seed=0)
    )
    assert not done.unscored, done.unscored
    return done.verdicts


def row_of(scorer: Scorer, evidence: Evidence, judge: Judge, explanation: str = "a feature") -> dict[str, Any]:
    """The feature's row of the table of scores."""
    told = Explanation(evidence.dictionary, evidence.feature, "e", "j", "h", explanation)
    verdicts = judged(scorer, evidence, judge, explanation)
    return score_feature(evidence, told, verdicts, scale=scorer.scale, borrowed={})
