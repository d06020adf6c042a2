from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from autointerp.explain.rendering import render_effects, texts_of
from autointerp.judges.tasks import ScoreTask
from autointerp.records.evidence import N_SHOWN_LOGITS, TokenEffect
from autointerp.score.scorer import Unscorable
from autointerp.seeds import stream
from tests.score.planted import fires_on, make_evidence
from tests.score.running import items_of, open_scorer

UP = tuple(TokenEffect(900 + i, f" up{i}", 2.0 - i / 50) for i in range(30))
DOWN = tuple(TokenEffect(950 + i, f" down{i}", i / 50 - 2.0) for i in range(30))
EVIDENCE = replace(make_evidence(fires_on(" return")), top_logits=UP, bottom_logits=DOWN)


def test_what_an_explainer_is_shown_is_never_asked() -> None:
    shown = {*texts_of(UP), *texts_of(DOWN)}
    assert len(shown) == 2 * N_SHOWN_LOGITS
    assert f'" up{N_SHOWN_LOGITS}"' not in render_effects(UP)
    items = items_of(open_scorer("logit_weights"), EVIDENCE)
    assert shown.isdisjoint(item.window.text for item in items)
    assert {i.window.text for i in items if i.is_firing} == {f" up{i}" for i in range(10, 30)}


def test_the_silent_ones_are_suppressed_and_random_by_turns() -> None:
    items = items_of(open_scorer("logit_weights", n_positive=10, n_negative=11), EVIDENCE)
    assert Counter(item.kind for item in items) == {"promoted": 10, "suppressed": 6, "random": 5}
    assert all(item.is_firing == (item.kind == "promoted") for item in items)
    assert len({item.key for item in items}) == 21
    assert all(item.key == f"token:{item.window.token_ids[0]}" for item in items)
    seen = {token for w in EVIDENCE.select("score", "random") for token in w.token_texts()}
    assert {item.window.text for item in items if item.kind == "random"} <= seen


def test_another_features_entries_may_be_the_silent_ones() -> None:
    other = replace(EVIDENCE, feature=1, top_logits=tuple(TokenEffect(i, f" other{i}", 1.0) for i in range(30)))
    items = items_of(open_scorer("logit_weights", negatives="other_feature"), EVIDENCE, others=(EVIDENCE, other))
    assert {item.window.text for item in items if not item.is_firing} == {f" other{i}" for i in range(10, 30)}
    assert {item.kind for item in items} == {"promoted", "other"}


def test_what_reads_alike_or_cannot_be_read_is_left_out() -> None:
    odd = (TokenEffect(1, "\ufffd", 1.0), TokenEffect(2, "  ", 1.0), TokenEffect(3, " up0", 1.0))
    down = (*DOWN[:10], TokenEffect(4, " up12", -1.0), *DOWN[10:])
    items = items_of(open_scorer("logit_weights"), replace(EVIDENCE, top_logits=UP + odd, bottom_logits=down))
    texts = Counter(item.window.text for item in items)
    assert max(texts.values()) == 1
    assert {"\ufffd", "  ", " up0"}.isdisjoint(texts)
    assert next(item.kind for item in items if item.window.text == " up12") == "promoted"


def test_entries_are_asked_about_as_they_read() -> None:
    scorer = open_scorer("logit_weights", windows_per_request=8)
    questions = scorer.questions("cats", items_of(scorer, EVIDENCE))
    assert [len(question.items) for question in questions] == [8] * 5
    for question in questions:
        task = question.request.task
        assert isinstance(task, ScoreTask)
        assert task.asks == "promotes"
        lines = question.request.messages[-1].content.splitlines()[-8:]
        shown = [json.loads(line.split(": ", 1)[1]) for line in lines]
        assert shown == [item.window.text for item in question.items] == [p.text for p in task.passages]


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ({"top_logits": UP[:12]}, "too_few_positives", "2 of 20 entries that it promotes, at least 5 are needed; set "),
        ({"bottom_logits": (), "windows": ()}, "too_few_negatives", "0 of 20 entries that it does not promote"),
    ],
)
def test_too_few_entries_are_said(change: dict[str, object], reason: str, said: str) -> None:
    found = open_scorer("logit_weights").sample(replace(EVIDENCE, **change), stream(0, "t"), others=())  # type: ignore[arg-type]
    assert isinstance(found, Unscorable)
    assert found.reason == reason
    assert said in found.detail
