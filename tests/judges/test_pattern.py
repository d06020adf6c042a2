from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.config.asking import ExplainConfig, ExplainerConfig, ScoreConfig, ScorerConfig
from autointerp.errors import ConfigError
from autointerp.explain.opening import open_explainer
from autointerp.explaining import explain_features
from autointerp.judges.judge import Judge, Reply, Request
from autointerp.judges.offline.pattern import PatternJudge, open_judge
from autointerp.judges.offline.pattern_language import Element, parse_pattern, render_pattern
from autointerp.judges.offline.pattern_learning import MAX_ELEMENTS, learn_pattern
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask, ShownWindow
from autointerp.records.verdict import Verdict
from autointerp.runs.reply_record import Account
from autointerp.score import detection, marked
from autointerp.scoring import score_features
from tests.score.planted import Rule, fires_after, fires_on, make_evidence


class Direct:
    """The judge as a client, with nothing around it."""

    async def ask(self, request: Request, *, account: Account | None = None) -> Reply:
        return await PatternJudge().ask(request)


def answer(explanation: str, *passages: Passage) -> list[int]:
    request = Request(ScoreTask(explanation, passages), messages=(), max_tokens=100)
    return json.loads(asyncio.run(PatternJudge().ask(request)).text)["answers"]


def finds(explanation: str, text: str) -> bool:
    return answer(explanation, Passage(text)) == [1]


def shown(*pieces: str, fired: dict[int, float]) -> ShownWindow:
    return ShownWindow(pieces, tuple(fired.get(index, 0.0) for index in range(len(pieces))))


def explain(*windows: ShownWindow) -> list[Element]:
    return learn_pattern(ExplainTask(windows, (), (), ()))


ELEMENTS = st.builds(
    Element,
    token=st.text(min_size=1, max_size=6),
    left=st.sampled_from(["", "-", "~"]),
    right=st.sampled_from(["", "-", "~"]),
    context=st.none() | st.text(min_size=1, max_size=6),
    is_near=st.just(False),
    strength=st.integers(1, 10),
)


@given(st.lists(ELEMENTS, min_size=1, max_size=5))
def test_a_pattern_is_read_back_as_it_was_written(elements: list[Element]) -> None:
    assert parse_pattern(render_pattern(elements)) == elements


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_explanation_and_no_passage_can_break_it(explanation: str, text: str) -> None:
    assert len(answer(f"fires on {explanation}", Passage(text), Passage(text, (0, len(text))))) == 2


@pytest.mark.parametrize(
    ("explanation", "text", "is_found"),
    [
        ('fires on " a" (10)', "eat an apple", False),
        ('fires on " a" (10)', "eat a pear", True),
        ('fires on " a"- (10)', "eat an apple", True),
        ('fires on " a"- (10)', "eat a pear", False),
        ('fires on " a"~ (10)', "eat a pear", True),
        ('fires on -"ing" (10)', "walking.", True),
        ('fires on -"ing" (10)', "ing", True),
        ('fires on -"ing" (10)', "the ing stands alone", False),
        ('fires on "ing" (10)', "walking", False),
        ('fires on ":" directly after ")" (10)', "def f(x):", True),
        ('fires on ":" directly after ")" (10)', "else:", False),
        ('fires on "x" soon after "def" (10)', "def f(x)", True),
        ('fires on "x" soon after "def" (10)', "undefined f(x)", False),
        ('fires on "x" soon after "def" (10)', "def " + "-" * 60 + "x", False),
        ('fires on "\\n" (10)', "one\ntwo", True),
        ('fires on " << " (10)', "a << b", True),
    ],
)
def test_tokens_are_matched_by_their_edges_and_context(explanation: str, text: str, is_found: bool) -> None:
    assert finds(explanation, text) is is_found


def test_a_mark_asks_about_the_marked_token_and_its_left_context() -> None:
    text, pattern = "self:self:", 'fires on ":" directly after "self" (10)'
    assert answer(pattern, Passage(text, (4, 5)), Passage(text, (0, 4)), Passage(text, (9, 10))) == [1, 0, 1]
    assert answer('fires on " a" (10)', Passage("x a", (1, 3)), Passage("x an", (1, 4))) == [1, 0]


def test_foreign_explanations_are_matched_by_quotes_then_by_words() -> None:
    assert finds('the word "whale" in novels', "A Whale swims")
    assert not finds('the word "whale" in novels', "old novels")
    assert finds("mentions of whales", "two whales")
    assert not finds("This feature fires on tokens in text", "tokens in text")


def test_a_token_that_always_fires_needs_no_context() -> None:
    windows = [shown("x", " the", " cat", " w" + str(i), fired={2: 5.0}) for i in range(10)]
    assert [e.token for e in explain(*windows)] == [" cat"]


def test_a_token_that_also_stands_unfired_gets_its_context() -> None:
    windows = [
        shown(" f", str(i), ")", ":", " w", " else", ":", " z", str(i), " q", " r", fired={3: 5.0}) for i in range(8)
    ]
    (element,) = explain(*windows)
    assert (element.token, element.context) == (":", ")")


def test_edges_are_learnt_from_what_stands_beside_the_token() -> None:
    windows = [shown(" walk", "ing", ".", f" w{i}", fired={1: 5.0}) for i in range(2)]
    windows += [shown(" talk", "ing", "!", f" v{i}", fired={1: 5.0}) for i in range(2)]
    (element,) = explain(*windows)
    assert (element.token, element.left, element.right) == ("ing", "-", "")


def test_a_single_window_and_silence() -> None:
    assert [e.token for e in explain(shown("a", "b", "c", fired={1: 2.0}))] == ["b"]
    assert explain(shown("a", "b", fired={})) == []
    assert explain() == []


def test_many_tokens_are_cut_to_the_strongest() -> None:
    windows = [shown(f" t{i}", " x", fired={0: 1.0 + i}) for i in range(60)]
    elements = explain(*windows)
    assert 0 < len(elements) <= MAX_ELEMENTS
    assert elements[0].token == " t59"
    assert all(first.strength >= second.strength for first, second in pairwise(elements))


def f1(verdicts: list[Verdict]) -> float:
    hits = sum(v.is_firing and v.answer == "fires" for v in verdicts)
    wrong = sum(v.is_firing != (v.answer == "fires") for v in verdicts)
    return 2 * hits / (2 * hits + wrong)


@pytest.mark.parametrize(
    ("rule", "n_documents", "least"),
    [
        (fires_on(" return"), 600, 0.98),
        (fires_on(" a"), 600, 0.98),
        (fires_on("ing"), 600, 0.98),
        (fires_on(" alpha", " beta", " gamma", "."), 600, 0.85),
        (fires_after("ing", " walk"), 1500, 0.98),
        (fires_after(" None", " self"), 5000, 0.98),
    ],
    ids=["word", "short_word", "ending", "set", "ending_in_context", "word_in_context"],
)
def test_planted_features_score_high_and_foreign_explanations_low(rule: Rule, n_documents: int, least: float) -> None:
    evidence = make_evidence(rule, n_documents=n_documents)
    foreign = make_evidence(fires_on(" class"), feature=1, density=evidence.density)
    scorers = [
        marked.open_scorer(ScorerConfig(name="marked"), ScoreConfig()),
        detection.open_scorer(ScorerConfig(name="detection"), ScoreConfig()),
    ]

    async def run() -> tuple[Verdict, ...]:
        client = Direct()
        both = [evidence, foreign]
        told = await explain_features(
            both,
            explainers=[open_explainer(ExplainerConfig(), ExplainConfig())],
            client=client,
            judge="pattern",
            seed=0,
        )
        scoring = await score_features(
            both,
            told,
            explainers=["windows"],
            scorers=scorers,
            client=client,
            judge="pattern",
            seed=0,
            shuffled_frac=1.0,
        )
        return scoring.verdicts

    verdicts = [v for v in asyncio.run(run()) if v.feature == 0 and v.kind != "near_miss"]
    for scorer in ("marked", "detection"):
        own = f1([v for v in verdicts if v.scorer == scorer and v.control is None])
        shuffled = f1([v for v in verdicts if v.scorer == scorer and v.control == "shuffled"])
        assert own >= least > shuffled + 0.2, (scorer, own, shuffled)


def test_it_is_a_judge_without_models_and_options() -> None:
    assert isinstance(open_judge(None, {}), Judge)
    with pytest.raises(ConfigError, match="has no models"):
        open_judge("gpt", {})
    with pytest.raises(ConfigError, match=r"judges\.pattern\.depth"):
        open_judge(None, {"depth": 3})
