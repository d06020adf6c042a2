"""Planted features with all that an explainer may be shown: windows, uses of tokens, logits, the effect of pinning."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from autointerp.builtin_plugins import BUILTIN
from autointerp.config.asking import ExplainConfig, ExplainerEntry
from autointerp.explain.explainer import Explainer, Reading
from autointerp.explain.opening import open_explainer
from autointerp.explaining import explain_features
from autointerp.judges.engine.client import Outcome
from autointerp.judges.judge import Request
from autointerp.judges.offline.pattern import PatternJudge
from autointerp.records.evidence import Evidence, PinnedEffect, TokenEffect, TokenUse
from autointerp.records.verdict import Explanation
from autointerp.runs.reply_record import Account
from autointerp.seeds import stream
from autointerp.workers import Asker
from tests.score.planted import Rule, make_evidence

RISING = (" up", " over", " high", " tall", " sky", " top")
FALLING = (" down", " under", " low", " short", " pit", " floor")
RAISED, LOWERED = (" climb", " rise"), (" sink", " fall")
ALONE = frozenset({"pattern", "none", "from_file"})
"""Explainers that ask nobody."""
PROMPTED = sorted(BUILTIN["autointerp.explainers"].keys() - ALONE)
WITHOUT_WINDOWS = frozenset({"logits", "logit_weights", "pinned"})


class Direct:
    """A client that asks a judge and keeps what it asked."""

    def __init__(self, judge: PatternJudge | None = None) -> None:
        self.judge = judge or PatternJudge()
        self.asked: list[Request] = []

    async def ask(self, request: Request, *, account: Account | None = None) -> Outcome:
        self.asked.append(request)
        return await self.judge.ask(request)


def effects(texts: Sequence[str], sign: float = 1.0) -> tuple[TokenEffect, ...]:
    """Falling effects, one per text; those of either sign are of entries of their own."""
    first = 0 if sign > 0 else 1000
    return tuple(TokenEffect(first + index, text, sign * (len(texts) - index)) for index, text in enumerate(texts))


def make_feature(rule: Rule, *, token: str | None = None, **changes: Any) -> Evidence:
    """The evidence of a rule, and of `token` that it fires on 7 of 9 of its occurrences."""
    return replace(
        make_evidence(rule, **changes),
        top_logits=effects(RISING),
        bottom_logits=effects(FALLING, -1.0),
        pinned=PinnedEffect(effects(RAISED), effects(LOWERED, -1.0), kl=0.25, strength=7.0),
        token_uses=() if token is None else (TokenUse(1, token, 7, 9),),
    )


def opened(name: str, **settings: Any) -> Explainer:
    return open_explainer(ExplainerEntry(name=name, **settings), ExplainConfig())


def ask(evidence: Evidence, name: str, seed: int = 0, **settings: Any) -> Request:
    """The first request of an explainer."""
    return opened(name, **settings).requests(evidence, stream(seed, "test"))[0]


def words_of(request: Request) -> str:
    return "\n".join(message.content for message in request.messages)


def explain(evidence: Evidence, name: str, client: Asker | None = None, **settings: Any) -> Explanation:
    """What comes of the loop."""
    (explanation,) = asyncio.run(
        explain_features(
            [evidence], explainers=[opened(name, **settings)], client=client or Direct(), judge="pattern", seed=0
        )
    )
    return explanation


def as_reading(explanation: Explanation) -> Reading:
    return Reading(explanation.text, explanation.failure)
