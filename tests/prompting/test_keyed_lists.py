"""Lists whose entries carry their numbers: read where they can be read in one way only, and never guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autointerp.judges.judge import Reply
from autointerp.prompting.numbered import parse_number
from autointerp.prompting.parsing import diagnose, find_answers, parse_answers
from autointerp.prompting.probabilities import answer_probabilities
from tests.judges.personalities import LISTS

BITS = st.lists(st.integers(0, 1), min_size=1, max_size=12)
SEVERAL = st.lists(st.integers(0, 1), min_size=2, max_size=12)

KINDS = ("", "window ", "Window_", "#", "passage ", "text ", "item", "q")
SEPARATORS = (": ", " = ", " - ", " -> ", ") ", ". ", " \u2192 ", ":")


@given(SEVERAL, st.sampled_from(sorted(LISTS)))
def test_each_way_to_write_a_list_is_read(bits: list[int], way: str) -> None:
    text = LISTS[way](bits)
    for dressed in (text, f"<think>1: {1 - bits[0]}</think>\n{text}", f"```\n{text}\n```"):
        assert parse_answers(dressed, len(bits)) == bits, dressed


@given(BITS, st.sampled_from(sorted(LISTS)), st.integers(-3, 3).filter(bool))
def test_another_number_of_answers_is_never_filled_up_or_cut(bits: list[int], way: str, off: int) -> None:
    assume(len(bits) + off > 0)
    assert parse_answers(LISTS[way](bits), len(bits) + off) is None


@given(SEVERAL, st.sampled_from(KINDS), st.sampled_from(SEPARATORS), st.sampled_from(["\n", "\n\n", "\r\n"]))
def test_numbered_lines_of_any_kind_are_read_at_their_places(bits: list[int], kind: str, sep: str, end: str) -> None:
    text = end.join(f"{kind}{number}{sep}{('no', 'Yes')[bit]}" for number, bit in enumerate(bits, 1))
    found = find_answers(text, len(bits))
    assert found is not None
    assert list(found.values) == bits
    assert found.starts is not None
    assert [text[start : start + 1] for start in found.starts] == ["nY"[bit] for bit in bits]


@given(SEVERAL, st.data())
def test_numbers_that_are_not_one_to_n_each_once_are_refused(bits: list[int], data: st.DataObject) -> None:
    """Begun at 0, one left out, one twice, one too many: nothing says which answer is about which window."""
    n = len(bits)
    numbers = data.draw(
        st.one_of(
            st.just(list(range(n))),
            st.integers(1, n).map(lambda left: [i for i in range(1, n + 2) if i != left]),
            st.lists(st.integers(0, n + 1), min_size=n, max_size=n),
        )
    )
    assume(sorted(numbers) != list(range(1, n + 1)))
    pairs = list(zip(numbers, bits, strict=True))
    keys = ", ".join(f'"{number}": {bit}' for number, bit in pairs)
    rows: list[Any] = [{"window": number, "answer": bit} for number, bit in pairs]
    for text in (
        f"{{{keys}}}",
        f'{{"answers": {{{keys}}}}}',
        json.dumps(rows),
        json.dumps({"answers": rows}),
        json.dumps([{str(number): bit} for number, bit in pairs]),
        "\n".join(f"{number}: {bit}" for number, bit in pairs),
        ", ".join(f"{number}: {bit}" for number, bit in pairs),
        json.dumps(json.dumps(rows)),
    ):
        assert parse_answers(text, n) is None, text


@given(SEVERAL, st.data())
def test_objects_may_come_in_any_order_where_they_name_their_numbers(bits: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(bits))))
    rows = [{"id": place + 1, "answer": bits[place]} for place in order]
    assert parse_answers(json.dumps(rows), len(bits)) == bits
    assert parse_answers(json.dumps({str(place + 1): bits[place] for place in order}), len(bits)) == bits
    lines = "\n".join(f"{place + 1}: {bits[place]}" for place in order)
    assert parse_answers(lines, len(bits)) == (bits if list(order) == sorted(order) else None)


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ('{"reasoning": "the first is odd", "1": 0, "2": 1}', [0, 1]),
        ('{"windows": {"1": 0, "2": 1}}', [0, 1]),
        ('{"1": {"answer": 0, "reason": "no"}, "2": {"answer": 1, "reason": "yes"}}', [0, 1]),
        ('{"1": "yes", "2": null}', [1, None]),
        ('[{"answer": 0}, {"answer": 1}]', [0, 1]),
        ('[{"window": "Window 1", "fires": false}, {"window": "Window 2", "fires": true}]', [0, 1]),
        ('[{"window": 1, "hit": 0}, {"window": 2, "hit": 1}]', [0, 1]),
        ('[{"window 1": 0}, {"window 2": 1}]', [0, 1]),
        ("{1: 0, 2: 1}", [0, 1]),
        ("{'1': 0, '2': 1}", [0, 1]),
        ("1: 0, 2: 1.", [0, 1]),
        ("(1) no\n(2) yes", [0, 1]),
        ("1. **no**\n2. **yes**", [0, 1]),
        ("Here are my answers:\n\nWindow 1: 0\nIt has no verb.\nWindow 2: 1\n\nAnything else?", [0, 1]),
        ('Sure.\n```json\n[{"window": 1, "answer": 0}, {"window": 2, "answer": 1}]\n```\nDone.', [0, 1]),
        ('{"answers": "0, 1"}', [0, 1]),
        ('{"answers": "1: 0\\n2: 1"}', [0, 1]),
        ('"[0, 1]"', [0, 1]),
    ],
)
def test_ways_that_are_read(text: str, answers: list[int | None]) -> None:
    assert parse_answers(text, 2) == answers


@pytest.mark.parametrize(
    "text",
    [
        '{"1": 0, "2": 1, "total": 1}',
        '{"1": 0, "01": 1}',
        '{"1": 0, "1": 1, "2": 1}',
        '{"window 1": 0, "text 2": 1}',
        '{"1": 0, "2": 1, "answers": [1, 1, 1]}',
        '{"1": [0], "2": [1]}',
        '[{"window": 1, "answer": 0}, {"window": 2}]',
        '[{"window": 1, "answer": 0}, 1]',
        '[{"window": 1, "fires": 0, "active": 1}, {"window": 2, "fires": 1, "active": 1}]',
        '[{"window": 1, "id": 2, "answer": 0}, {"window": 2, "id": 1, "answer": 1}]',
        '[{"window": 17, "answer": 0}, {"window": 94, "answer": 1}]',
        '[{"a": 0, "b": 1}, {"a": 1, "b": 0}]',
        '{"first": {"1": 0, "2": 1}, "second": {"1": 1, "2": 1}}',
        "1: 0\n2: 1\n1: 1\n2: 1",
        "1: the first has no verb\n2: 1\n1: 0",
        "1: 0\n2: probably",
        "1. It fires.\n2. It does not.",
        '"1: 0\n2: 1"',
        "Window 2 says 1: 0, 2: 1",
        "1.0, 2.1",
        "1: 0 2: 1",
        '{"answers": "01"}',
        '{"answers": "0 1"}',
        '{"answers": "[0, 1], or [1, 1]"}',
        '[{"window": 1, "answer": 0}, {"window": 2, "answer": 1}] or [{"window": 1, "answer": 1}]',
        'It says\n{"1": 0, "2": 1} and then some.',
        'x\n{"1": 0, "2": 1}\ny\n{"1": 1, "2": 1}',
    ],
)
def test_ways_that_are_not_certain_are_unparsed(text: str) -> None:
    assert parse_answers(text, 2) is None
    assert diagnose(text, 2)


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ('{"1": 0}', [0]),
        ('{"answer": 1}', [1]),
        ('{"answers": "no"}', [0]),
        ('[{"window": 1, "answer": 0}]', [0]),
        ("Window 1: yes", [1]),
        ("1. yes", None),
        ("1: 0\nSo it is.", None),
        ('{"0": 1}', None),
        ('[{"a": 1, "b": 1}]', None),
    ],
)
def test_one_window(text: str, answers: list[int] | None) -> None:
    assert parse_answers(text, 1) == answers


@given(SEVERAL, st.sampled_from(sorted(LISTS)), st.integers(1, 30))
def test_of_a_reply_cut_off_nothing_is_read(bits: list[int], way: str, n_lost: int) -> None:
    text = LISTS[way](bits)
    assert parse_answers(text[:-n_lost], len(bits), is_cut=True) is None
    if "lines" in way:
        assert parse_answers(text, len(bits), is_cut=True) is None, "the rest may take it back"


def test_lines_have_the_probabilities_of_their_tokens() -> None:
    tokens = (("1", {}), (": ", {}), ("0", {"0": -0.01, "1": -4.6}), ("\n2: ", {}), ("1", {"1": -0.02, "0": -3.9}))
    reply = Reply("1: 0\n2: 1", "m", token_logprobs=tokens)
    answers = find_answers(reply.text, 2)
    assert answers is not None
    assert [round(p or 0.0, 2) for p in answer_probabilities(reply, answers)] == [0.01, 0.98]


def test_a_number_within_a_string_is_read() -> None:
    assert parse_number(json.dumps(json.dumps({"answer": 2})), 3) == 2
    assert parse_number(json.dumps(json.dumps({"answer": 4})), 3) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner) | (
    st.dictionaries(st.sampled_from(["1", "2", "answers", "answer", "window", "Window 3", "x"]), inner)
), max_leaves=12), st.integers(1, 3))  # fmt: skip
def test_any_json_gives_n_answers_or_none(value: Any, n: int) -> None:
    for text in (json.dumps(value), json.dumps(json.dumps(value)), f"It is\n{json.dumps(value)}\n."):
        answers = parse_answers(text, n)
        assert answers is None or (len(answers) == n and all(answer in (0, 1, None) for answer in answers))


def test_json_nested_without_end_is_no_answer() -> None:
    for text in ('{"x": ' * 5000, '{"answers": ' * 900 + "0" + "}" * 900, '[{"answer": ' * 900 + "0" + "}]" * 900):
        assert parse_answers(text, 1) is None
