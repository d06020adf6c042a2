from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.prompting.numbers import Numbers, diagnose_numbers, find_numbers

LEVELS = st.lists(st.integers(0, 10), min_size=1, max_size=40)
PROSE = st.text(st.characters(exclude_characters="[]{}\"`“”0123456789'<|", exclude_categories=("Cs",)), max_size=60)


def values(text: str, n: int, *, is_cut: bool = False) -> tuple[float, ...] | None:
    found = find_numbers(text, n, highest=10, is_cut=is_cut)
    return None if found is None else found.values


@settings(deadline=None)
@given(LEVELS)
def test_a_list_is_read_as_it_was_written(levels: list[int]) -> None:
    n = len(levels)
    for text in (
        json.dumps(levels),
        json.dumps({"activations": levels}),
        json.dumps({"thoughts": "[1, 2]", "activations": levels}),
        json.dumps({"values": levels}),
        f"```json\n{json.dumps(levels)}\n```",
        f"<think>maybe {[10] * n}</think>\n{levels}",
        f"The answer: {levels}.",
        json.dumps([str(level) for level in levels]),
    ):
        assert values(text, n) == tuple(levels), text


@settings(deadline=None)
@given(LEVELS, st.integers(-5, 5).filter(bool))
def test_another_length_is_never_filled_up_or_cut(levels: list[int], off: int) -> None:
    n = len(levels) + off
    if n > 0:
        for text in (json.dumps(levels), json.dumps({"activations": levels}), f"Here: {levels}"):
            assert values(text, n) is None, text


@settings(deadline=None)
@given(LEVELS, st.data())
def test_one_entry_that_is_no_level_spoils_the_list(levels: list[int], data: st.DataObject) -> None:
    spoilt: list[object] = list(levels)
    place = data.draw(st.integers(0, len(levels) - 1))
    spoilt[place] = data.draw(st.sampled_from([11, -1, None, "x", 1e9, [3], True]))
    for text in (json.dumps(spoilt), json.dumps({"activations": spoilt})):
        # a list in one pair of brackets more than wanted is read all the same
        is_wrapped = spoilt == [[3]] and text == "[[3]]"
        assert values(text, len(levels)) == ((3.0,) if is_wrapped else None)


@settings(deadline=None)
@given(LEVELS, LEVELS)
def test_lists_that_disagree_say_nothing(first: list[int], second: list[int]) -> None:
    found = values(f"{first}\nor rather\n{second}", len(second))
    assert found in (None, tuple(second)) if first == second or len(first) != len(second) else found is None


@settings(deadline=None)
@given(st.text(max_size=300), st.integers(1, 12), st.booleans())
def test_nothing_breaks_it_and_what_is_found_has_the_length(text: str, n: int, is_cut: bool) -> None:
    found = find_numbers(text, n, highest=10, is_cut=is_cut)
    if found is not None:
        assert len(found.values) == n
        assert all(0 <= value <= 10 for value in found.values)
    assert diagnose_numbers(text, n, highest=10, is_cut=is_cut)


@settings(deadline=None)
@given(LEVELS.filter(lambda levels: len(levels) > 1), PROSE, PROSE)
def test_the_places_are_those_of_the_numbers(levels: list[int], before: str, after: str) -> None:
    for text in (f"{before}\n{levels}\n{after}", json.dumps({"activations": levels})):
        found = find_numbers(text, len(levels), highest=10)
        if found is not None:
            assert found.starts is not None
            read = [text[start : start + len(str(level))] for start, level in zip(found.starts, levels, strict=True)]
            assert read == [str(level) for level in levels]


@pytest.mark.parametrize(
    ("text", "n", "wanted"),
    [
        ("[0, 2.5, 10.0]", 3, (0, 2.5, 10)),
        ("0, 3, 10", 3, (0, 3, 10)),
        ("7", 1, (7,)),
        ("7.", 1, None),
        ("It is 7", 1, None),
        ("[7] because of token [1]", 1, None),
        ("[1, 2, 3,]", 3, (1, 2, 3)),
        ("[[1, 2], [3, 4]]", 2, None),
        ('[["a", 1], ["b", 2]]', 2, None),
        ('The text says "[1, 2]".', 2, None),
        ("Look at tokens [1, 2]\nnothing more", 2, None),
        ("draft [1, 2]\nFinal answer: [3, 4]", 2, (3, 4)),
        ("[1, 2, 3]\nwait, [1, 2", 3, None),
        ('{"activations": [1, 2], "activations": [3, 4]}', 2, None),
        ('{"a": [1, 2], "b": [3, 4]}', 2, None),
        ('{"1": 0, "2": 5}', 2, (0, 5)),
        ('{"0": 0, "1": 5}', 2, None),
        ('{"1": 0, "2": 12}', 2, None),
        ('{"1": 0, "2": null}', 2, None),
        ("1: 0\n2: 7.5", 2, (0, 7.5)),
        ("1: 0\n2: -7", 2, None),
        ("1: 0\n2: 12", 2, None),
        ('[{"token": " the", "activation": 0}, {"token": "3", "activation": 9}]', 2, (0, 9)),
        ('[{"position": 2, "activation": 0}, {"position": 1, "activation": 9}]', 2, (9, 0)),
        ('{"activations": "[1, 2]"}', 2, (1, 2)),
        ('"[1, 2]"', 2, (1, 2)),
        ('Here:\n{"activations": {"1": 3, "2": 4}}\nDone.', 2, (3, 4)),
        ("", 2, None),
        ("[]", 2, None),
        ("[0, 12]\n", 2, None),
        ("[3, 4]\nno: [0, 12]", 2, None),
        ("٣, ٤", 2, None),
    ],
)
def test_cases(text: str, n: int, wanted: tuple[float, ...] | None) -> None:
    assert values(text, n) == wanted


def test_of_a_cut_reply_only_a_list_it_begins_with_counts() -> None:
    assert values("[1, 2]\nThat is", 2, is_cut=True) == (1, 2)
    assert values("Perhaps [1, 2]\nor", 2, is_cut=True) is None
    assert values('{"activations": [1, 2', 2, is_cut=True) is None
    assert values("1, 2", 2, is_cut=True) is None


def test_a_reply_as_long_as_no_list_is_not_read() -> None:
    assert values(" " * 10 + "x" * 60_000 + "[1, 2]", 2) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it was empty"),
        ("no idea", "no list of numbers could be found in it"),
        ("[1, 2, 3]", "its list had another length, 3"),
        ("[1, 2, 3] [1]", "it held lists of several lengths"),
        ("[1, 12]", "its list held what is no number from 0 to 10"),
        ("[1, 2]\nhm\n[2, 1]", "it did not give one list of numbers as its last word"),
    ],
)
def test_what_was_wrong_is_said(text: str, said: str) -> None:
    assert diagnose_numbers(text, 2, highest=10) == said
    assert diagnose_numbers(text, 2, highest=10, is_cut=True) == "it was cut off before its end"


def test_numbers_under_one_name_twice_have_no_places() -> None:
    found = find_numbers('{"x": {"activations": [1]}, "activations": [1]}', 1, highest=10)
    assert found == Numbers((1.0,), None)
