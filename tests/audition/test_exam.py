"""The exam: labels are true, the wrong explanation errs as often as promised, and nobody is told a label."""

from __future__ import annotations

from collections import Counter

import pytest

from autointerp.audition.concept import LEVELS
from autointerp.audition.concepts import CONCEPTS
from autointerp.audition.exam import SIZES, make_exam
from autointerp.audition.plain_concepts import PLAIN
from autointerp.audition.planting import Counts, plant, split_tokens
from autointerp.audition.texts import read_passages
from autointerp.config.asking import ScoreConfig
from autointerp.errors import ConfigError, PluginError
from tests.audition.judges import exam

PER_CONCEPT = 7
BALANCES = {"2+8": 2, "5+5": 5, "8+2": 8}


@pytest.mark.parametrize("size", ["small", "standard"])
def test_the_number_of_requests_is_the_one_stated(size: str) -> None:
    n_concepts, n_rounds = SIZES[size]  # type: ignore[index]
    made = exam(size)  # type: ignore[arg-type]
    assert len(made.asked) == PER_CONCEPT * n_concepts * n_rounds * len(made.scorers)
    assert made.n_concepts == n_concepts
    assert made.levels == LEVELS
    assert all(len(asked.question.items) == 10 for asked in made.asked)


def test_an_exam_of_a_level_has_its_concepts_alone() -> None:
    made = make_exam(("detection",), size="small", levels=("medium",))
    assert made.n_concepts == 12
    assert {asked.concept.level for asked in made.asked} == {"medium"}
    assert (made.levels, made.babel) == (("medium",), None)
    assert make_exam(("detection",), size="small", wording="rule").levels == ("easy", "medium")
    with pytest.raises(ConfigError, match=r"--wording rule: the rules of level hard .* use --level easy"):
        make_exam(("detection",), size="small", levels=("hard",), wording="rule")


@pytest.mark.parametrize("size", ["standard", pytest.param("large", marks=pytest.mark.full)])
def test_every_question_of_an_exam_has_windows_of_its_own(size: str) -> None:
    made = exam(size, "detection")
    assert size != "large" or len(made.asked) == PER_CONCEPT * len(CONCEPTS) * 2, "every concept twice"
    windows = [window.text for evidence in made.evidences for window in evidence.windows]
    assert len(set(windows)) == len(windows)


def test_labels_are_what_the_right_explanation_says() -> None:
    for asked in exam("standard").asked:
        labels = tuple(item.is_firing for item in asked.question.items)
        assert sum(labels) == BALANCES[asked.balance]
        if asked.told == "right":
            assert asked.says == labels


def test_the_wrong_explanation_errs_on_a_fifth_of_the_windows_of_every_sheet() -> None:
    for asked in exam("standard").asked:
        if asked.told == "wrong":
            errs = [item.is_firing != says for item, says in zip(asked.question.items, asked.says, strict=True)]
            assert sum(errs) / len(errs) >= 0.2, asked.concept.name


def test_all_sheets_of_a_concept_are_about_shared_windows() -> None:
    for scorer in ("detection", "marked"):
        asked = [one for one in exam().asked if one.feature == 3 and one.scorer.name == scorer]
        sets = {(one.told, one.balance, one.sitting): [i.key for i in one.question.items] for one in asked}
        first = sets["right", "5+5", "first"]
        assert sets["wrong", "5+5", "first"] == sets["foreign", "5+5", "first"] == first
        assert sets["right", "5+5", "repeated"] == first
        assert sets["right", "5+5", "reversed"] == first[::-1]
        shared = set(first) & set(sets["right", "2+8", "first"]) & set(sets["right", "8+2", "first"])
        assert len(shared) == 4


def test_only_a_repeated_sheet_has_another_sample() -> None:
    assert {(one.sitting, one.question.request.sample) for one in exam().asked} == {
        ("first", 0),
        ("reversed", 0),
        ("repeated", 1),
    }


def test_firing_windows_stand_in_no_fixed_places() -> None:
    places: Counter[int] = Counter()
    for asked in exam("large", "detection").asked:
        if asked.sitting == "first" and asked.balance == "5+5" and asked.told == "right":
            places.update(place for place, item in enumerate(asked.question.items) if item.is_firing)
    n_sheets = len(CONCEPTS) * 2
    assert all(abs(places[place] / n_sheets - 0.5) < 4 * 0.5 / n_sheets**0.5 for place in range(10))


def test_the_exam_is_the_same_every_time_and_its_hash_tells_another() -> None:
    made = exam()
    again = make_exam(size="small")
    assert [one.question.request for one in made.asked] == [one.question.request for one in again.asked]
    assert made.hash == again.hash
    assert len({made.hash, exam("standard").hash, exam("small", "marked").hash}) == 3
    assert exam("small", wording="rule").hash != made.hash


def test_no_request_tells_a_label() -> None:
    """What is asked of a sheet is the same whatever its windows' kinds, activations and labels."""
    for asked in exam().asked[:14]:
        request = asked.question.request
        hidden = [item._replace(is_firing=not item.is_firing, kind="random") for item in asked.question.items]
        text = request.task.explanation  # type: ignore[union-attr]
        (other,) = asked.scorer.questions(text, hidden)
        assert other.request.messages == request.messages
        assert other.request.task == request.task


def test_replies_are_never_asked_for_again() -> None:
    made = make_exam(("detection",), size="small", score=ScoreConfig(reasks=3, max_tokens=77))
    assert {one.question.request.max_tokens for one in made.asked} == {77}
    assert made.scorers[0].prompt_hash == make_exam(("detection",), size="small").scorers[0].prompt_hash


def test_a_scorer_that_asks_no_yes_or_no_is_refused() -> None:
    for name in ("simulation", "intruder"):
        with pytest.raises(ConfigError, match=f"--scorer {name}: .* use detection or marked"):
            make_exam((name,), size="small")
    with pytest.raises(PluginError, match="did you mean 'detection'"):
        make_exam(("detectoin",), size="small")


def test_tokens_join_to_the_text() -> None:
    for passage in read_passages()[::50]:
        assert "".join(split_tokens(passage.text)) == passage.text
    for text in ("", " ", "  a", "é\u0301 \u200b", "a\n\n b", "𝒳 12345 __x__", "\ud800"):
        assert "".join(split_tokens(text)) == text


@pytest.mark.parametrize("concept", PLAIN[::5], ids=lambda concept: concept.name)
def test_planted_windows_fire_where_the_rule_does(concept) -> None:
    counts = Counts(6, 6, 2, 2, roles=("explain", "score"), n_top=3, n_near_miss=2, n_logits=12)
    evidence = plant(concept, counts, feature=7, seed=1, wrong=concept.shifted)
    for role in counts.roles:
        windows = evidence.select(role)
        assert sum(window.is_firing for window in windows) == 6
        assert sum(window.kind == "top" for window in windows) == 3
        assert len([w for w in windows if w.kind == "random"]) == 6
    for window in evidence.windows:
        spans = concept.right.spans(window.text)
        for index, activation in enumerate(window.activations):
            start, end = window.character_span(index)
            assert (activation > 0) == any(a < end and start < b for a, b in spans)
        if window.is_firing:
            assert window.activations[window.candidate] == max(window.activations)
    assert all(concept.right.fires(effect.text) for effect in evidence.top_logits)
    assert not any(concept.right.fires(effect.text) for effect in evidence.bottom_logits)
    documents = [{w.document for w in evidence.select(role)} for role in counts.roles]
    assert not documents[0] & documents[1]
