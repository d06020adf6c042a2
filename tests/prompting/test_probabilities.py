from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.judges.judge import Reply
from autointerp.prompting.parsing import Answers, find_answers
from autointerp.prompting.probabilities import WIDEST, answer_probabilities

PAIRS = [("0", "1"), ("false", "true"), ("False", "True"), ("no", "yes")]


def log(masses: Mapping[str, float]) -> dict[str, float]:
    return {token: math.log(p) if p else -math.inf for token, p in masses.items()}


def read(text: str, tokens: list[tuple[str, dict[str, float]]], n: int) -> list[float | None]:
    answers = find_answers(text, n)
    assert answers is not None
    reply = Reply(text, "m", token_logprobs=tuple((token, log(masses)) for token, masses in tokens))
    return list(answer_probabilities(reply, answers))


def one(masses: dict[str, float], *, token: str = "1") -> float | None:
    """The probability of the only answer, whose token has these alternatives."""
    (p,) = read(f"[{token.strip()}]", [("[", {"[": 1.0}), (token, masses), ("]", {"]": 1.0})], 1)
    return p


def test_the_share_of_firing_among_the_labels() -> None:
    assert one({"1": 0.6, "0": 0.2, "x": 0.2}) == pytest.approx(0.75)
    assert one({"1": 0.5, " 1": 0.1, "0": 0.1, " 0": 0.1, "\n0": 0.1}) == pytest.approx(2 / 3)
    assert one({"true": 0.3, "yes": 0.3, "false": 0.1, "No": 0.1}, token="true") == pytest.approx(0.75)
    assert one({"1,": 0.3, "1]": 0.3, "0,": 0.2}) == pytest.approx(0.75)
    assert one({"1": 0.6, "0": 0.2, "10": 0.1, "0.7": 0.1, "01": 0.0}) == pytest.approx(0.75)


def test_a_missing_label_bounds_the_probability() -> None:
    assert one({"1": 0.99, "x": 0.002}) == pytest.approx(1 - (0.008 / 0.998) / 2)
    assert one({"0": 0.99, "x": 0.002}, token="0") == pytest.approx((0.008 / 0.998) / 2)
    assert one({"1": 1.0}) == 1.0
    assert one({"1": 0.9, "x": 0.05}) is None  # it lies between 0.947 and 1
    assert one({"1": 0.97, "\n": 0.03}) is None  # a line break says nothing yet, so all of it may become a 0
    assert one({"x": 1.0}) is None
    assert one({}) is None


def test_a_word_begun_may_be_either() -> None:
    assert read('["no"]', [('["', {}), ("n", {"n": 0.9, "y": 0.1}), ("o", {}), ('"]', {})], 1) == [None]
    assert read('["yes"]', [('["', {}), ("y", {"y": 0.9, "No": 0.1}), ("es", {}), ('"]', {})], 1) == [
        pytest.approx(0.9)
    ]
    assert read("[true]", [("[tr", {"[tr": 0.6, "[f": 0.4}), ("ue]", {})], 1) == [pytest.approx(0.6)]


def test_several_answers_in_one_token_are_told_apart() -> None:
    joint = {
        f"{a},{b}": p * q for (a, p), (b, q) in product({"0": 0.3, "1": 0.7}.items(), {"0": 0.6, "1": 0.4}.items())
    }
    assert read("[1,0]", [("[", {}), ("1,0", joint), ("]", {})], 2) == [pytest.approx(0.7), pytest.approx(0.4)]
    # of the second answer, nothing is listed behind the same first one
    assert read("[1,0]", [("[", {}), ("1,0", {"1,0": 0.48, "0,0": 0.32}), ("]", {})], 2) == [pytest.approx(0.6), None]


def test_numbers_that_are_none_say_nothing() -> None:
    assert one({"1": 0.5, "0": math.nan}) is None
    reply = Reply("[1]", "m", token_logprobs=(("[", {}), ("1", {"1": 0.0, "0": -9999.0, "x": -math.inf}), ("]", {})))
    assert answer_probabilities(reply, Answers((1,), (1,))) == (1.0,)
    reply = Reply("[1]", "m", token_logprobs=(("[", {}), ("1", {"1": 1e-7, "0": -math.inf}), ("]", {})))
    assert answer_probabilities(reply, Answers((1,), (1,))) == (1.0,)


def test_a_stream_of_something_else_says_nothing() -> None:
    masses = {"1": 0.6, "0": 0.4}
    assert read("[1]", [("[", {}), ("0", masses), ("]", {})], 1) == [None]
    assert read("[1]", [("[", {}), ("1", masses)], 1) == [None]
    assert read("[1]", [], 1) == [None]
    assert read("[1]", [("[1]", masses), *[(x, {}) for x in "a long tail"]], 1) == [None]


def test_answers_without_a_place_or_a_value_have_none() -> None:
    tokens = tuple((c, {"1": math.log(0.6), "0": math.log(0.4)}) for c in "[1,null]")
    assert answer_probabilities(Reply("[1,null]", "m", token_logprobs=tokens), Answers((1, None), None)) == (None, None)
    found = find_answers("[1,null]", 2)
    assert found is not None
    assert answer_probabilities(Reply("[1,null]", "m", token_logprobs=tokens), found) == (pytest.approx(0.6), None)


def test_the_judges_own_probabilities_come_first() -> None:
    tokens = tuple((c, {"1": math.log(0.6), "0": math.log(0.4)}) for c in "[1,0]")
    answers = Answers((1, 0), (1, 3))
    for own, expected in (
        ((0.9, 0.2), (0.9, 0.2)),
        ((1.0, 0.0), (1.0, 0.0)),
        ((0.9,), (pytest.approx(0.6),) * 2),  # about another number of windows
        ((0.9, 1.1), (pytest.approx(0.6),) * 2),
        ((0.9, math.nan), (pytest.approx(0.6),) * 2),
    ):
        assert answer_probabilities(Reply("[1,0]", "m", token_logprobs=tokens, probabilities=own), answers) == expected
    assert answer_probabilities(Reply("[1,0]", "m", probabilities=(0.9, 0.2)), Answers((1, None), None)) == (0.9, None)


SHOWN = {
    "as it is": lambda token: token,
    "raw byte pairs": lambda token: token.replace(" ", "\u0120").replace("\n", "\u010a"),
    "sentencepiece": lambda token: {"\n": "<0x0A>", "1": "<0x31>"}.get(token, token.replace(" ", "\u2581")),
    "no leading space": str.strip,
    "bytes": lambda token: token if token.isascii() else "bytes:" + "".join(f"\\x{b:02x}" for b in token.encode()),
    "halves": lambda token: "".join(c if c.isascii() else "\ufffd" for c in token),
}


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, tuple[tuple[str, dict[str, float]], ...], list[float], list[int]]:
    """A reply cut into tokens at random, and the probability its writer had for each answer.

    Its alternatives are those of a model that is sure of everything but the answers, and answers each by itself. Gives
    also which token each answer's word begins in.
    """
    bits = draw(st.lists(st.integers(0, 1), min_size=1, max_size=6))
    chances = draw(st.lists(st.floats(0.01, 0.99), min_size=len(bits), max_size=len(bits)))
    pair, mark = draw(st.sampled_from(PAIRS)), draw(st.sampled_from(["", '"']))
    form = draw(
        st.sampled_from(["[%s]", '{"answers": [%s]}', "```json\n[%s]\n```", "\u00e9\u4e2d? Final answer: [%s]"])
    )
    separator = draw(st.sampled_from([", ", ",", ",\n "]))
    spans, inner = [], ""
    for number, bit in enumerate(bits):
        inner += separator if number else ""
        spans.append((len(inner) + len(mark), len(inner) + len(mark) + len(pair[bit])))
        inner += mark + pair[bit] + mark
    shift = form.index("%s")
    spans = [(start + shift, end + shift) for start, end in spans]
    text = form % inner
    cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=25))})
    show = SHOWN[draw(st.sampled_from(sorted(SHOWN)))]
    tokens: list[tuple[str, dict[str, float]]] = []
    places = [next(i for i, (a, b) in enumerate(pairwise(cuts)) if a <= start < b) for start, _ in spans]
    for first, last in pairwise(cuts):
        masses = {"": 1.0}
        place = first
        for (start, end), chance in zip(spans, chances, strict=True):
            if end <= first or start >= last:
                continue
            if start < first:  # the rest of a word begun before
                masses = {old + text[place : min(end, last)]: p for old, p in masses.items()}
            else:
                masses = {
                    old + text[place:start] + pair[b][: last - start]: p * (chance if b else 1.0 - chance)
                    for old, p in masses.items()
                    for b in (0, 1)
                }
            place = min(end, last)
        merged: dict[str, float] = {}
        for token, p in masses.items():
            shown = show(token + text[place:last])
            merged[shown] = merged.get(shown, 0.0) + p
        tokens.append((show(text[first:last]), log({t: 0.98 * p for t, p in merged.items()} | {"zzz": 0.02})))
    thought = [
        (show(word), log({word: 1.0})) for word in draw(st.lists(st.sampled_from(["1", "0", "[", " hm"]), max_size=5))
    ]
    ending = draw(st.sampled_from([[], ["<|im_end|>"], ["</s>", "<|endoftext|>"]]))
    stream = (*thought, *tokens, *((token, {token: 0.0}) for token in ending))
    return text, stream, chances, [place + len(thought) for place in places]


@given(streams())
def test_the_writers_probabilities_are_found_however_the_reply_is_cut(
    case: tuple[str, tuple[tuple[str, dict[str, float]], ...], list[float], list[int]],
) -> None:
    text, stream, chances, _ = case
    answers = find_answers(text, len(chances))
    assert answers is not None and answers.starts is not None
    found = answer_probabilities(Reply(text, "m", token_logprobs=stream), answers)
    for p, chance in zip(found, chances, strict=True):
        assert p is None or p == pytest.approx(chance, abs=WIDEST / 2 + 1e-9)


@given(streams())
def test_and_are_missing_only_where_a_token_leaves_them_open(
    case: tuple[str, tuple[tuple[str, dict[str, float]], ...], list[float], list[int]],
) -> None:
    """Where an answer's token spells both labels out, its probability is known."""
    text, stream, chances, places = case
    answers = find_answers(text, len(chances))
    assert answers is not None
    found = answer_probabilities(Reply(text, "m", token_logprobs=stream), answers)
    for p, place in zip(found, places, strict=True):
        if stream[place][0].strip(' "\n\u0120\u2581') in ("0", "1", "false", "true", "no", "yes"):
            assert p is not None


def test_a_token_of_named_bytes_counts_for_the_characters_among_them() -> None:
    named = "bytes:\\xc3\\xa9\\x5b\\x30\\x2c"  # "é[0,"
    tokens = ((named, {named: 0.0}), (" 0", {" 0": math.log(0.25), " 1": math.log(0.75)}), ("]", {"]": 0.0}))
    (_, p) = answer_probabilities(Reply("é[0, 0]", "m", token_logprobs=tokens), Answers((0, 0), (2, 5)))
    assert p == pytest.approx(0.75)


def test_a_reply_survives_as_json_with_infinities() -> None:
    """Journals keep token probabilities as JSON, where an impossible token has the probability 0."""
    stored = json.loads(json.dumps([["[", {}], ["1", {"1": 0.0, "0": -math.inf}], ["]", {}]]))
    reply = Reply("[1]", "m", token_logprobs=tuple((token, masses) for token, masses in stored))
    assert answer_probabilities(reply, Answers((1,), (1,))) == (1.0,)
