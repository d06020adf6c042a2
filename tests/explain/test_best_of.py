"""Best of n keeps the candidate that predicts best, on windows that neither candidates nor scores have seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from autointerp.config.asking import ExplainConfig
from autointerp.errors import ConfigError, PluginError
from autointerp.explain.best_of import BestOfExplainer, BestOfSettings, open_explainer, split_evidence
from autointerp.explain.explainer import Reading
from autointerp.judges.engine.client import Failure, Outcome
from autointerp.judges.judge import Reply, Request
from autointerp.judges.offline.pattern import PatternJudge
from autointerp.judges.tasks import ExplainTask, ScoreTask, SimulateTask
from autointerp.runs.reply_record import Account
from autointerp.seeds import stream
from tests.explain.features import explain, make_feature, opened
from tests.score.planted import fires_on

FEATURE = make_feature(fires_on(" return"), token=" return", n_documents=400)
TOLD = ['fires on " class" (10)', 'fires on " self" (10)', 'fires on " return" (10)', 'fires on " def" (10)']
Answer = Callable[[Request], Outcome | None]


class Candidates:
    """A client that gives each sample a candidate of its own and judges by pattern."""

    def __init__(self, told: list[str] = TOLD, change: Answer | None = None) -> None:
        self.told, self.change, self.asked = told, change, list[Request]()

    async def ask(self, request: Request, *, account: Account | None = None) -> Outcome:
        self.asked.append(request)
        if self.change is not None and (outcome := self.change(request)) is not None:
            return outcome
        if isinstance(request.task, ExplainTask):
            return Reply(f"[EXPLANATION]: {self.told[request.sample]}", "m")
        return await PatternJudge().ask(request)


def asked_by(client: Candidates) -> tuple[list[Request], list[Request]]:
    candidates = [request for request in client.asked if isinstance(request.task, ExplainTask)]
    return candidates, [request for request in client.asked if isinstance(request.task, ScoreTask | SimulateTask)]


@pytest.mark.parametrize("scorer", ["detection", "marked", "recall", "fuzzing", "simulation", "pattern_tokens"])
@pytest.mark.parametrize("place", range(4))
def test_the_best_candidate_is_kept_wherever_it_stands(place: int, scorer: str) -> None:
    told = [*TOLD[:2], TOLD[3]]
    told.insert(place, TOLD[2])
    client = Candidates(told)
    explanation = explain(FEATURE, "best_of", client, chosen_by=scorer)
    assert explanation.text == TOLD[2]
    candidates, judged = asked_by(client)
    assert [request.sample for request in candidates] == [0, 1, 2, 3]
    assert {request.temperature for request in candidates} == {0.8}
    assert len({request.messages for request in candidates}) == 1
    assert {request.temperature for request in judged} == {0.0}
    judging = [request.task for request in judged if not isinstance(request.task, ExplainTask)]
    assert {task.explanation for task in judging if isinstance(task, ScoreTask | SimulateTask)} == set(TOLD)


def test_candidates_are_judged_on_windows_that_nobody_else_sees() -> None:
    client = Candidates()
    explain(FEATURE, "best_of", client)
    candidates, judged = asked_by(client)
    shown = {"".join(w.tokens) for r in candidates if isinstance(r.task, ExplainTask) for w in r.task.windows}
    asked = {p.text for r in judged if isinstance(r.task, ScoreTask) for p in r.task.passages}
    mine = {window.text: window for window in FEATURE.select("explain")}
    assert shown <= mine.keys()
    assert asked <= mine.keys()
    assert not {mine[text].document for text in shown} & {mine[text].document for text in asked}
    assert len(asked) >= 20


def test_the_parts_are_of_the_explain_role_and_share_no_document() -> None:
    shown, validation = split_evidence(FEATURE, np.random.default_rng(0))
    judged = validation.select("score")
    assert {w.id for w in (*shown.windows, *judged)} == {w.id for w in FEATURE.select("explain")}
    assert not {w.document for w in shown.windows} & {w.document for w in judged}
    assert shown.select("score") == ()
    assert len(judged) == pytest.approx(0.4 * len(FEATURE.select("explain")), abs=1)


def test_one_candidate_that_all_agree_on_needs_no_choice() -> None:
    client = Candidates([TOLD[0]] * 4)
    assert explain(FEATURE, "best_of", client).text == TOLD[0]
    assert len(client.asked) == 4


def test_too_few_windows_to_choose_by_leave_the_first() -> None:
    few = replace(FEATURE, windows=(*FEATURE.select("explain", "top")[:6], *FEATURE.select("explain", "random")))
    client = Candidates()
    assert explain(few, "best_of", client).text == TOLD[0]
    assert asked_by(client)[1] == []


def test_a_candidate_that_failed_is_left_out_and_an_answer_that_failed_is_wrong() -> None:
    def without_the_best(request: Request) -> Outcome | None:
        return Failure("error", "x") if isinstance(request.task, ExplainTask) and request.sample == 2 else None

    client = Candidates(change=without_the_best)
    assert explain(FEATURE, "best_of", client).text in set(TOLD) - {TOLD[2]}

    def unjudged(request: Request) -> Outcome | None:
        told = request.task.explanation if isinstance(request.task, ScoreTask) else ""
        return Failure("error", "x") if told == TOLD[2] else None

    client = Candidates(change=unjudged)
    assert explain(FEATURE, "best_of", client).text != TOLD[2]


@pytest.mark.parametrize(
    ("outcome", "failure"),
    [(Failure("error", "x"), "error"), (Failure("refused", "x"), "refused"), (Reply("hm", "m"), "unparsed")],
)
def test_no_candidate_is_no_explanation(outcome: Outcome, failure: str) -> None:
    client = Candidates(change=lambda _: outcome)
    explanation = explain(FEATURE, "best_of", client)
    assert (explanation.text, explanation.failure) == (None, failure)


def test_an_unreadable_candidate_is_asked_for_again() -> None:
    client = Candidates(change=lambda r: Reply("hm", "m") if r.sample == 0 and len(r.messages) == 2 else None)
    explain(FEATURE, "best_of", client)
    assert [len(r.messages) for r in asked_by(client)[0]] == [2, 4, 2, 2, 2]


def test_the_same_stream_gives_the_same_questions_round_by_round() -> None:
    explainer = opened("best_of")
    first = explainer.requests(FEATURE, stream(0, "t"))
    rounds = [[Reply(f"[EXPLANATION]: {text}", "m") for text in TOLD]]
    assert first == explainer.requests(FEATURE, stream(0, "t"))
    asked = explainer.follow(FEATURE, rounds, stream(0, "t"))
    assert not isinstance(asked, Reading)
    assert asked == explainer.follow(FEATURE, rounds, stream(0, "t"))
    assert len(asked) % 4 == 0
    replies = [asyncio.run(PatternJudge().ask(request)) for request in asked]
    assert explainer.follow(FEATURE, [*rounds, replies], stream(0, "t")) == Reading(TOLD[2])


def test_settings_reach_the_explainer_of_the_candidates() -> None:
    client = Candidates()
    explain(FEATURE, "best_of", client, n_windows=3, n_candidates=2, candidates_of="contrastive", n_silent=4)
    candidates, _ = asked_by(client)
    assert len(candidates) == 2
    for request in candidates:
        assert isinstance(request.task, ExplainTask)
        assert (len(request.task.windows), len(request.task.silent_windows)) == (3, 4)


def test_the_hash_is_of_all_that_decides() -> None:
    same = opened("best_of").prompt_hash
    assert same == opened("best_of", label="x").prompt_hash
    others = [{"chosen_by": "marked"}, {"candidates_of": "contrastive"}, {"n_candidates": 5}, {"reasoning": False}]
    assert len({same, *(opened("best_of", **settings).prompt_hash for settings in others)}) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates_of": "best_of"}, "candidates_of = 'best_of' names itself"),
        ({"candidates_of": "pattern"}, "candidates_of = 'pattern' gives no two candidates"),
        ({"candidates_of": "logits", "n_windows": 3}, "'logits' has no use for n_windows"),
        ({"chosen_by": "logit_weights"}, "chosen_by = 'logit_weights' asks about the very tokens that are scored"),
        ({"chosen_by": "intruder"}, "chosen_by = 'intruder' needs no explanation; name a scorer of windows"),
        ({"chosen_by": "surprisal"}, "chosen_by = 'surprisal' takes a judge of its own kind"),
    ],
)
def test_settings_that_give_no_choice_are_errors(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        opened("best_of", **settings)


def test_an_unknown_scorer_is_an_error() -> None:
    with pytest.raises(PluginError, match="unknown scorer 'detektion'; did you mean 'detection'"):
        open_explainer(BestOfSettings(name="best_of", chosen_by="detektion"), ExplainConfig())
    assert isinstance(open_explainer(BestOfSettings(name="best_of"), ExplainConfig()), BestOfExplainer)
