from __future__ import annotations

from dataclasses import replace

import pytest

from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.prompting.notation import Notation
from autointerp.records.evidence import TokenUse
from autointerp.records.token_key import named_tokens
from autointerp.score.scorer import Item, Unscorable
from autointerp.seeds import stream
from tests.score.planted import VOCABULARY, fires_on, make_evidence, make_window
from tests.score.running import items_of, open_scorer

EVIDENCE = make_evidence(fires_on(" return", " class"), n_documents=600)
FIRING = {VOCABULARY.index(" return"), VOCABULARY.index(" class")}


def marked(item: Item) -> tuple[int, ...]:
    named = named_tokens(item.key)
    assert named is not None
    assert named[0] == item.window.id
    return named[1]


def test_all_windows_activate_and_none_stands_twice() -> None:
    items = items_of(open_scorer("fuzzing"), EVIDENCE)
    assert {item.is_firing: sum(i.is_firing == item.is_firing for i in items) for item in items} == {
        True: 20,
        False: 20,
    }
    assert all(item.window.is_firing and item.window.role == "score" for item in items)
    assert len({item.window.id for item in items}) == len(items)
    assert {item.kind for item in items if not item.is_firing} == {"wrong_marks"}
    assert {item.kind for item in items if item.is_firing} <= {"top", "bin"}


def test_right_marks_are_all_firings_and_wrong_ones_as_many_silent_tokens() -> None:
    n_several = 0
    for item in items_of(open_scorer("fuzzing"), EVIDENCE):
        values = item.window.activations
        fired = tuple(place for place, value in enumerate(values) if value > 0)
        n_several += len(fired) > 1
        if item.is_firing:
            assert marked(item) == fired
        else:
            assert len(marked(item)) == len(fired)
            assert all(values[place] == 0.0 for place in marked(item))
            assert FIRING.isdisjoint(item.window.token_ids[place] for place in marked(item))
    assert n_several > 5


def test_strong_and_weak_windows_are_marked_either_way() -> None:
    for seed in range(5):
        items = items_of(open_scorer("fuzzing"), EVIDENCE, seed=seed)
        strengths = [sorted(i.window.max_activation for i in items if i.is_firing == right) for right in (True, False)]
        assert abs(sum(strengths[0]) - sum(strengths[1])) / 20 < 0.5


def test_wrong_marks_are_as_frequent_as_what_fires() -> None:
    """The feature fires on a rare token; one silent token of each window is as rare, all others are common."""
    rare, common, firing = 500, 600, 700
    pieces = [" common", " common", " rare", " firing", " common"]
    ids = (common, common, rare, firing, common)
    tokens = {
        "explain": (common, common, common, common, rare),  # in random windows: 4 in 5, and 1 in 5
    }

    def window(number: int, role: str, kind: str, values: list[float], token_ids: tuple[int, ...]) -> object:
        made = make_window([*pieces[:4], f" x{number}"], values, name=f"{kind}{role}{number}@0", role=role, kind=kind)  # type: ignore[arg-type]
        return replace(made, token_ids=token_ids)

    windows = [window(n, "score", "top", [0, 0, 0, 5.0 + n, 0], ids) for n in range(20)]
    windows += [window(n, "score", "random", [0, 0, 0, 0, 0], tokens["explain"]) for n in range(20)]
    for share, expected in ((0.2, rare), (0.8, common)):
        uses = (TokenUse(firing, " firing", 20, int(share * EVIDENCE.n_tokens / 2)),)
        evidence = replace(EVIDENCE, windows=tuple(windows), token_uses=uses)  # type: ignore[arg-type]
        items = items_of(open_scorer("fuzzing", n_positive=5, n_negative=5, sampling="top"), evidence)
        wrong = {item.window.token_ids[marked(item)[0]] for item in items if not item.is_firing}
        assert wrong == {expected}


def test_the_marks_are_what_is_shown() -> None:
    scorer = open_scorer("fuzzing", windows_per_request=6)
    for question in scorer.questions("cats", items_of(scorer, EVIDENCE)):
        task = question.request.task
        assert isinstance(task, ScoreTask)
        lines = question.request.messages[-1].content.splitlines()[-len(question.items) :]
        for line, item, passage in zip(lines, question.items, task.passages, strict=True):
            spans = [item.window.character_span(place) for place in marked(item)]
            assert Notation(True, False).read(line.split(": ", 1)[1]) == (item.window.text, spans)
            assert passage == Passage(item.window.text, marks=tuple(spans))


def test_a_split_character_is_marked_once() -> None:
    """Three tokens that share one character: the piece of the text is the first one's."""
    text = "a 東 b"
    window = make_window(["a", " ", "東", " b"], [0, 0, 0, 0], name="d@0")
    window = replace(
        window, text=text, token_ids=(1, 2, 3, 4, 5), token_starts=(0, 2, 3, 4, 5, 7), activations=(0, 0, 3.0, 3.0, 0)
    )
    assert window.piece_spans() == [(0, 2), (2, 3), (3, 3), (3, 3), (3, 5)]
    scorer = open_scorer("fuzzing")
    (question,) = scorer.questions("e", [Item(window, "top", True, "d@0#1")])
    assert Notation(True, False).read(question.request.messages[-1].content.splitlines()[-1][3:]) == (text, [(2, 3)])


def test_an_item_that_names_no_tokens_is_a_bug() -> None:
    with pytest.raises(ValueError, match="does not name the tokens"):
        open_scorer("fuzzing").questions("e", [Item(EVIDENCE.windows[0], "top", True)])


def test_a_feature_that_fires_everywhere_has_no_wrong_marks() -> None:
    windows = tuple(replace(w, activations=(1.0,) * len(w.token_ids)) for w in EVIDENCE.windows if w.is_firing)
    found = open_scorer("fuzzing").sample(replace(EVIDENCE, windows=windows), stream(0, "t"), others=())
    assert isinstance(found, Unscorable)
    assert found.reason == "too_few_negatives"
    assert "too few tokens to mark wrongly" in found.detail
