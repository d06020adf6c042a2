from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.config.asking import ExplainConfig, ExplainerConfig, ScoreConfig, ScorerConfig
from autointerp.errors import ConfigError
from autointerp.explain.opening import open_explainer
from autointerp.explaining import explain_features
from autointerp.judges.judge import Judge, Reply, Request
from autointerp.judges.offline.pattern import PatternJudge, open_judge
from autointerp.judges.offline.pattern_language import Element, Pattern, parse_pattern
from autointerp.judges.offline.pattern_learning import MAX_ELEMENTS, learn_pattern
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask, ShownWindow, SimulateTask, TokenCount
from autointerp.prompting.marking import token_starts
from autointerp.records.evidence import TokenUse
from autointerp.records.verdict import Verdict
from autointerp.runs.reply_record import Account
from autointerp.score import detection, marked
from autointerp.scoring import score_features
from autointerp.stats.lookup import fit_token_rule
from tests.score.planted import PLACES, Rule, fires_after, fires_on, make_evidence


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


def learn(*windows: ShownWindow, silent: tuple[ShownWindow, ...] = (), **counts: tuple[int, int]) -> Pattern:
    """From firing windows, random silent ones, and (firing, all) occurrences of tokens that a space precedes."""
    known = tuple(TokenCount(f" {token}", n_firing, n) for token, (n_firing, n) in counts.items())
    pattern = learn_pattern(ExplainTask(windows, (), (), (), counts=known, background=silent))
    assert pattern is not None
    return pattern


def explain(*windows: ShownWindow) -> list[Element]:
    return list(learn(*windows).elements)


ELEMENTS = st.builds(
    Element,
    token=st.text(min_size=1, max_size=6),
    left=st.sampled_from(["", "-", "~"]),
    right=st.sampled_from(["", "-", "~"]),
    context=st.none() | st.text(min_size=1, max_size=6),
    is_near=st.just(False),
    strength=st.integers(1, 10),
    share=st.integers(1, 990),
)
CUTS = st.integers(0, 5000)


@given(st.lists(ELEMENTS, min_size=1, max_size=5), CUTS, CUTS, CUTS)
def test_a_pattern_is_read_back_as_it_was_written(elements: list[Element], text: int, mark: int, token: int) -> None:
    pattern = Pattern(tuple(elements), text, mark, token)
    assert parse_pattern(pattern.render()) == pattern


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
    in_context, alone = explain(*windows)
    assert (in_context.token, in_context.context) == (":", ")")
    assert (alone.token, alone.context) == (":", None)
    assert in_context.share > 900 > 200 > alone.share


def test_edges_are_learnt_from_what_stands_beside_the_token() -> None:
    windows = [shown(" walk", "ing", ".", f" w{i}", fired={1: 5.0}) for i in range(2)]
    windows += [shown(" talk", "ing", "!", f" v{i}", fired={1: 5.0}) for i in range(2)]
    (element,) = explain(*windows)
    assert (element.token, element.left, element.right) == ("ing", "-", "")


def test_a_single_window_and_silence() -> None:
    assert [e.token for e in explain(shown("a", "b", "c", fired={1: 2.0}))] == ["b"]
    assert learn_pattern(ExplainTask((shown("a", "b", fired={}),), (), (), ())) is None
    assert learn_pattern(ExplainTask((), (), (), ())) is None


def test_many_tokens_are_cut_to_the_strongest() -> None:
    windows = [shown(f" t{i}", " x", fired={0: 1.0 + i}) for i in range(2 * MAX_ELEMENTS)]
    elements = explain(*windows)
    assert len(elements) == MAX_ELEMENTS
    assert elements[0].token == f" t{2 * MAX_ELEMENTS - 1}"
    assert all(first.strength >= second.strength for first, second in pairwise(elements))


def test_shares_are_those_of_the_role_and_not_of_the_windows_shown() -> None:
    windows = [shown(" a", " b", f" w{i}", fired={0: 1.0, 1: 1.0}) for i in range(5)]
    elements = {e.token: e.share for e in learn(*windows, a=(90, 99), b=(5, 99), c=(30, 59)).elements}
    assert [elements[token] for token in (" a", " b", " c")] == [900, 50, 500]


def test_a_text_fires_from_the_sum_of_shares_that_parts_firing_from_silent_windows() -> None:
    """One of the two tokens stands in every silent window, both in every firing one."""
    firing = [shown(" a", " b", f" w{i}", fired={0: 1.0}) for i in range(10)]
    silent = tuple(shown(f" v{i}", (" a", " b")[i % 2], fired={}) for i in range(10))
    pattern = learn(*firing, silent=silent, a=(30, 99), b=(20, 99))
    assert 300 < pattern.text_from <= 500
    told = pattern.render()
    assert answer(told, *(Passage(text) for text in (" a b", " a x", " b x", " x"))) == [1, 0, 0, 0]


def test_a_text_is_read_by_its_tokens_where_they_are_known() -> None:
    told = 'fires on "in"~ (10, 60%); texts from 60%, marks from 5%, tokens from 30%'
    text = " in string"
    assert answer(told, Passage(text, starts=(0, 1, 3))) == [1]
    assert answer(told, Passage(text, starts=(0, 3)), Passage(text)) == [0, 1]


def test_one_marked_token_and_every_token_have_thresholds_of_their_own() -> None:
    told = 'fires on " a" (10, 20%), on " b" (10, 40%); texts from 60%, marks from 15%, tokens from 30%'
    one, other = Passage(" a b", (0, 2)), Passage(" x b", (0, 2))
    assert answer(told, one, other) == [1, 0]
    assert answer(told, one, Passage(" a b", (2, 4))) == [0, 1]
    task = SimulateTask(told, " a b", ((0, 2), (2, 4)))
    assert json.loads(asyncio.run(PatternJudge().ask(Request(task, (), max_tokens=9))).text)["activations"] == [0, 10]


def test_patterns_without_shares_stay_readable() -> None:
    assert parse_pattern('fires on " a" (10)') == Pattern((Element(" a"),))
    assert parse_pattern("a whale") is None


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


def seldom(pieces: Sequence[str], index: int) -> bool:
    """Always on one token, and every fifth place of four frequent ones."""
    return pieces[index] == " return" or (pieces[index] in (" the", " a", ".", ",") and index % 5 == 0)


def test_tokens_that_seldom_fire_are_told_as_well_as_by_the_best_list_of_tokens() -> None:
    judged, listed = [], []
    for feature in range(8):
        evidence = make_evidence(seldom, n_documents=400, length=12, feature=feature)
        windows = [replace(w, kind="random") if w.kind == "near_miss" else w for w in evidence.windows]
        read = [
            cell for w in windows if w.role == "explain" for cell in zip(w.token_texts(), w.activations, strict=True)
        ]
        n_tokens, n_firing = Counter(token for token, _ in read), Counter(token for token, value in read if value > 0)
        uses = tuple(TokenUse(PLACES[token], token, n, n_tokens[token]) for token, n in n_firing.most_common())
        evidence = replace(evidence, windows=tuple(windows), token_uses=uses)
        (request,) = open_explainer(ExplainerConfig(), ExplainConfig()).requests(evidence, np.random.default_rng(0))
        told = asyncio.run(PatternJudge().ask(request)).text.removeprefix("[EXPLANATION]: ")
        asked = evidence.select("score")
        said = answer(told, *(Passage(w.text, starts=token_starts(w)) for w in asked))
        rule = fit_token_rule(evidence, task="detection")
        judged.append(balanced([w.is_firing for w in asked], said))
        listed.append(balanced([w.is_firing for w in asked], [rule.calls_firing(w) for w in asked]))
    assert mean(judged) > mean(listed) > 0.7


def balanced(truth: list[bool], said: Sequence[float]) -> float:
    return mean(mean(bool(a) == t for t, a in zip(truth, said, strict=True) if t == side) for side in (True, False))


def test_it_is_a_judge_without_models_and_options() -> None:
    assert isinstance(open_judge(None, {}), Judge)
    with pytest.raises(ConfigError, match="has no models"):
        open_judge("gpt", {})
    with pytest.raises(ConfigError, match=r"judges\.pattern\.depth"):
        open_judge(None, {"depth": 3})
