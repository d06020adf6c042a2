"""What the judges that need no language model answer about tokens, marks and entries of the vocabulary."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from autointerp.judges.judge import Judge, Message, Request
from autointerp.judges.offline import scripted
from autointerp.judges.offline.pattern import PatternJudge
from autointerp.judges.offline.truth import Truth
from autointerp.judges.tasks import Passage, ScoreTask, SimulateTask, Task
from autointerp.records.evidence import TokenEffect
from autointerp.records.window import Window
from tests.score.planted import fires_on, make_evidence

TEXT = "the cat sat on the cat"
CATS, SAT = ((4, 7), (19, 22)), (8, 11)
EVIDENCE = make_evidence(fires_on(" return"), n_documents=200)


def ask(judge: Judge, task: Task, schema: dict[str, Any] | None = None) -> Any:
    request = Request(task, (Message("user", "?"),), max_tokens=100, reply_schema=schema)
    return json.loads(asyncio.run(judge.ask(request)).text)


def spans_of(window: Window) -> tuple[tuple[int, int], ...]:
    return tuple(window.character_span(index) for index in range(len(window.token_ids)))


@pytest.mark.parametrize("seed", range(5))
def test_the_key_knows_how_strongly_each_token_fires(seed: int) -> None:
    truth = Truth.of_evidence([EVIDENCE])
    window = EVIDENCE.select("score", "top", "bin")[seed]
    levels = truth.levels(SimulateTask("e", window.text, spans_of(window)))
    for level, value in zip(levels, window.activations, strict=True):
        assert (level > 0) == (value > 0)
        assert level == (0 if value == 0 else max(1, int(value * 10 / EVIDENCE.max_activation)))
    marks = ScoreTask("e", tuple(Passage(window.text, span) for span in spans_of(window)))
    assert truth.labels(marks) == tuple(value > 0 for value in window.activations)


def test_the_key_calls_marks_right_where_all_of_them_fire() -> None:
    truth = Truth.of_evidence([EVIDENCE])
    window = next(w for w in EVIDENCE.select("score", "top", "bin") if sum(a > 0 for a in w.activations) > 1)
    spans = spans_of(window)
    fired = tuple(span for span, value in zip(spans, window.activations, strict=True) if value > 0)
    silent = tuple(span for span, value in zip(spans, window.activations, strict=True) if value == 0)
    passages = tuple(Passage(window.text, marks=marks) for marks in (fired, silent[:2], (fired[0], silent[0])))
    assert truth.labels(ScoreTask("e", passages)) == (True, False, False)


def test_the_key_knows_what_a_feature_promotes_and_texts_are_not_mistaken_for_entries() -> None:
    truth = Truth(
        {"sae/1": {Passage(" up"): True}, "sae/2": {}},
        promoted={"sae/1": {" up": False, " x": True}, "sae/2": {" up": True, " y": True}},
    )
    asked = tuple(map(Passage, (" up", " y")))
    assert truth.labels(ScoreTask("e", asked, asks="promotes")) == (True, True)
    assert truth.labels(ScoreTask("feature sae/1", asked, asks="promotes")) == (False, False)
    assert truth.labels(ScoreTask("e", (Passage(" up"),))) == (True,)
    effects = Truth.of_evidence([EVIDENCE])
    assert effects.labels(ScoreTask("e", (Passage(" up"), Passage(" down")), asks="promotes")) == (True, False)
    assert (EVIDENCE.top_logits[0], EVIDENCE.bottom_logits[0].text) == (TokenEffect(1, " up", 1.0), " down")


def test_judges_say_levels_as_they_say_labels() -> None:
    task = SimulateTask("token: cat", TEXT, (CATS[0], SAT, CATS[1]))
    assert ask(scripted.literal(), task) == [10, 0, 10]
    assert ask(scripted.literal(), task, {"type": "object"}) == {"activations": [10, 0, 10]}
    assert ask(scripted.coin(heads=1.0), task) == [10, 10, 10]
    truth = Truth({"f/0": {Passage(TEXT): True}}, levels={"f/0": {Passage(TEXT, CATS[0]): 7, Passage(TEXT, SAT): 0}})
    assert ask(scripted.oracle(truth), task) == [7, 0, 0]
    assert ask(scripted.liar(truth), task) == [3, 10, 10]
    alone = [ask(scripted.coin(seed=3), SimulateTask("e", TEXT, (span,)))[0] for span in (*CATS, SAT)]
    assert alone == ask(scripted.coin(seed=3), SimulateTask("e", TEXT, (*CATS, SAT)))


def test_the_mumbler_says_no_number() -> None:
    request = Request(SimulateTask("e", TEXT, CATS), (Message("user", "?"),), max_tokens=10)
    assert not any(c.isdigit() for c in asyncio.run(scripted.mumbler().ask(request)).text)


@pytest.mark.parametrize(
    ("explanation", "levels"),
    [
        ('fires on "cat" (7)', [7, 0, 7]),
        ('fires on "cat" (4), on "sat" (9), on "cat" directly after "on the " (8)', [4, 9, 8]),
        ('something about "cat"', [10, 0, 10]),
        ("nothing of the kind", [0, 0, 0]),
    ],
)
def test_the_pattern_judge_gives_its_elements_strengths(explanation: str, levels: list[int]) -> None:
    task = SimulateTask(explanation, TEXT, (CATS[0], SAT, CATS[1]))
    assert ask(PatternJudge(), task) == {"activations": levels}


@pytest.mark.parametrize("explanation", ['fires on "cat" (7)', 'all about "cat"'])
def test_of_several_marks_most_must_fit(explanation: str) -> None:
    passages = tuple(Passage(TEXT, marks=marks) for marks in (CATS, (CATS[0], SAT), ((0, 3), SAT, CATS[0])))
    assert ask(PatternJudge(), ScoreTask(explanation, passages)) == {"answers": [1, 1, 0]}
    assert ask(scripted.literal(), ScoreTask("token: cat", passages)) == [1, 1, 0]
