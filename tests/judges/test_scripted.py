"""Scripted judges do what their names say, whatever the order and batching of questions."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from autointerp.errors import ConfigError
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.kit.contract import check_judge
from autointerp.judges.offline import scripted
from autointerp.judges.offline.truth import Truth
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask, ShownWindow
from autointerp.plugins import open_judge
from autointerp.records.document import Role
from autointerp.records.evidence import Evidence, FiringRule
from autointerp.records.evidence_file import write_evidence
from autointerp.records.window import Kind, Window

PASSAGES = tuple(Passage(f"text {i}") for i in range(200))
TRUTH = Truth.of_passages({passage: i % 3 == 0 for i, passage in enumerate(PASSAGES)})
LABELS = [int(i % 3 == 0) for i in range(200)]


def score(
    judge: scripted.ScriptedJudge, passages: tuple[Passage, ...] = PASSAGES, explanation: str = "e", sample: int = 0
) -> list[int]:
    task = ScoreTask(explanation, passages)
    request = Request(task, (Message("user", "?"),), max_tokens=1000, sample=sample)
    return json.loads(asyncio.run(judge.ask(request)).text)


def explain(judge: scripted.ScriptedJudge, *texts: str) -> str:
    windows = tuple(ShownWindow((text,), (1.0,)) for text in texts)
    request = Request(ExplainTask(windows, (), (), ()), (Message("user", "?"),), max_tokens=100)
    return asyncio.run(judge.ask(request)).text


def test_the_oracle_is_right_and_the_liar_is_not() -> None:
    assert score(scripted.oracle(TRUTH)) == LABELS
    assert score(scripted.liar(TRUTH)) == [1 - label for label in LABELS]


def test_the_oracle_finds_the_feature_a_task_is_about() -> None:
    a, b, c = Passage("a"), Passage("b"), Passage("c")
    truth = Truth({"sae/1": {a: True, b: False}, "sae/2": {b: True, c: False}}, shown={"sae/2": ["shown"]})
    judge = scripted.oracle(truth)
    assert score(judge, (a, b)) == [1, 0]
    assert score(judge, (b, c)) == [1, 0]
    assert explain(judge, "shown", "never seen") == "[EXPLANATION]: feature sae/2"
    # tops of another feature as negatives: the texts alone cannot tell whose they are, the explanation can
    tops = Truth({"sae/1": {a: True}, "sae/2": {b: True}})
    assert score(scripted.oracle(tops), (a, b), "feature sae/1") == [1, 0]
    assert score(scripted.oracle(tops), (a, b), "feature sae/2") == [0, 1]


def test_a_mark_narrows_a_passage_only_where_the_key_says_so() -> None:
    marked = Passage("a b", (0, 1))
    assert score(scripted.oracle(Truth.of_passages({Passage("a b"): True})), (marked,)) == [1]
    assert score(scripted.oracle(Truth.of_passages({marked: True})), (Passage("a b", (2, 3)),)) == [0]


def test_random_judges_answer_alike_in_any_order_and_batch() -> None:
    for judge in (scripted.coin(seed=3), scripted.noisy(TRUTH, sensitivity=0.7, specificity=0.6, seed=3)):
        whole = score(judge)
        assert score(judge, PASSAGES[::-1]) == whole[::-1]
        assert [answer for i in range(0, 200, 7) for answer in score(judge, PASSAGES[i : i + 7])] == whole
        assert score(judge, sample=1) != whole


def test_the_coin_falls_evenly_and_by_its_seed() -> None:
    answers = score(scripted.coin(seed=1))
    assert 70 <= sum(answers) <= 130
    assert answers != score(scripted.coin(seed=2))
    assert answers != score(scripted.coin(seed=1), explanation="another")
    assert sum(score(scripted.coin(heads=0.0))) == 0


def test_the_noisy_judge_has_the_quality_it_is_given() -> None:
    assert score(scripted.noisy(TRUTH, sensitivity=1.0, specificity=1.0)) == LABELS
    answers = score(scripted.noisy(TRUTH, sensitivity=0.9, specificity=0.6, seed=5))
    hits = sum(a for a, label in zip(answers, LABELS, strict=True) if label) / sum(LABELS)
    passed = sum(1 - a for a, label in zip(answers, LABELS, strict=True) if not label) / (200 - sum(LABELS))
    assert hits == pytest.approx(0.9, abs=0.12)
    assert passed == pytest.approx(0.6, abs=0.12)


@pytest.mark.parametrize(
    ("explanation", "passage", "fires"),
    [
        ("token: cat", Passage("the cat sat"), 1),
        ("token: cat", Passage("the dog sat"), 0),
        ("token: cat", Passage("the cat sat", (3, 7)), 1),
        ("token: cat", Passage("the cat sat", (7, 11)), 0),
        ("regex: [0-9]+", Passage("year 1984"), 1),
        ("regex: [0-9]+", Passage("year 1984", (0, 4)), 0),
        ("regex: [0-9]+", Passage("year 1984", (6, 8)), 1),
        ("regex: (", Passage("year ("), 0),
        ("animals", Passage("animals"), 0),
    ],
)
def test_the_literal_judge_applies_the_rule_it_reads(explanation: str, passage: Passage, fires: int) -> None:
    assert score(scripted.literal(), (passage,), explanation) == [fires]


def test_the_mumbler_says_nothing_of_use() -> None:
    request = Request(ScoreTask("e", PASSAGES[:2]), (Message("user", "?"),), max_tokens=10)
    text = asyncio.run(scripted.mumbler().ask(request)).text
    assert not any(character in text for character in "01[]{}")
    assert "[EXPLANATION]" not in explain(scripted.mumbler(), "x")


def test_given_explanations_are_given() -> None:
    assert explain(scripted.literal(explanation="token: a"), "x") == "[EXPLANATION]: token: a"
    assert explain(open_judge("literal", {"explanation": "regex: b"}), "x") == "[EXPLANATION]: regex: b"  # type: ignore[arg-type]


def test_settings_that_change_answers_belong_to_the_key() -> None:
    judges = [
        scripted.coin(seed=1),
        scripted.coin(seed=2),
        scripted.noisy(TRUTH, sensitivity=0.5, specificity=0.5),
        scripted.noisy(TRUTH, sensitivity=0.5, specificity=0.6),
    ]
    assert len({(judge.capabilities.endpoint, judge.capabilities.variant) for judge in judges}) == len(judges)


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    judge = open_judge("oracle", {"evidence": str(tmp_path / "evidence")})
    request = Request(ScoreTask("e", PASSAGES[:1]), (Message("user", "?"),), max_tokens=10)
    with pytest.raises(ConfigError, match="evidence"):
        asyncio.run(judge.ask(request))


@pytest.mark.parametrize(
    "judge",
    [
        scripted.oracle(TRUTH),
        scripted.liar(TRUTH),
        scripted.coin(),
        scripted.mumbler(),
        scripted.noisy(TRUTH, sensitivity=0.8, specificity=0.8),
        scripted.literal(),
        open_judge("pattern"),
    ],
    ids=lambda judge: judge.capabilities.model,
)
def test_they_keep_the_contract(judge: scripted.ScriptedJudge) -> None:
    assert [result for result in asyncio.run(check_judge(judge, timeout_s=5.0)) if result.is_passed is False] == []


def test_replies_are_of_the_protocol() -> None:
    request = Request(ScoreTask("e", PASSAGES[:2]), (), max_tokens=10)
    reply = asyncio.run(scripted.coin().ask(request))
    assert isinstance(reply, Reply)
    assert reply.finish == "stop"


def evidence(feature: int, windows: tuple[Window, ...]) -> Evidence:
    return Evidence(
        dictionary="sae",
        feature=feature,
        site="mlp_post",
        rule=FiringRule("above_zero"),
        n_tokens=10,
        n_firing=1,
        density=0.1,
        max_activation=1.0,
        histogram_edges=(0.0, 1.0),
        histogram_counts=(1,),
        windows=windows,
        top_logits=(),
        bottom_logits=(),
        token_uses=(),
        neuron=None,
        unscored=None,
    )


def window(text: str, role: Role, kind: Kind) -> Window:
    activation = 0.0 if kind == "random" else 1.0
    return Window(
        f"{role}-{text}", f"{role}.txt", 0, role, kind, None, text, (1,), (0, len(text.encode())), (activation,), 0
    )


def test_judges_with_a_key_read_it_from_a_runs_evidence(tmp_path: Path) -> None:
    write_evidence(
        tmp_path / "sae.parquet",
        [
            evidence(
                1, (window("fire", "score", "top"), window("calm", "score", "random"), window("é", "explain", "top"))
            ),
            evidence(2, (window("calm", "score", "bin"), window("other", "score", "random"))),
        ],
    )
    options = {"evidence": str(tmp_path)}
    fire, calm, other = Passage("fire", (0, 2)), Passage("calm"), Passage("other")
    judge = open_judge("oracle", options)
    assert isinstance(judge, scripted.ScriptedJudge)
    assert score(judge, (fire, calm)) == [1, 0]
    assert score(judge, (calm, other)) == [1, 0]
    assert explain(judge, "é") == "[EXPLANATION]: feature sae/1"
    liar = open_judge("liar", options)
    assert isinstance(liar, scripted.ScriptedJudge)
    assert score(liar, (calm, other)) == [0, 1]
