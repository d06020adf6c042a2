"""Expected values against a direct computation, with tokenizers that join and that split digits."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.judges.judge import Reply
from autointerp.prompting.expectations import expected_values
from autointerp.prompting.numbers import Numbers, find_numbers

Seen = dict[str, float]


def reply_of(*tokens: tuple[str, Seen]) -> Reply:
    logprobs = tuple((text, {t: math.log(p) for t, p in seen.items() if p > 0}) for text, seen in tokens)
    return Reply("".join(text for text, _ in tokens), "m", token_logprobs=logprobs)


def numbers_of(reply: Reply, n: int) -> Numbers:
    found = find_numbers(reply.text, n, highest=10)
    assert found is not None
    return found


def expected(reply: Reply, n: int) -> tuple[float, ...]:
    return expected_values(reply, numbers_of(reply, n), highest=10)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(0.01, 1.0), min_size=11, max_size=11), min_size=1, max_size=6), st.booleans())
def test_it_is_the_mean_over_the_numbers(rows: list[list[float]], is_object: bool) -> None:
    """A tokenizer with a token for each number, 10 included."""
    tokens: list[tuple[str, Seen]] = [('{"activations": [' if is_object else "[", {"[": 1.0})]
    wanted = []
    for place, row in enumerate(rows):
        total = sum(row)
        seen = {str(number): share / total for number, share in enumerate(row)}
        tokens += [(", ", {", ": 1.0})] if place else []
        tokens.append((max(seen, key=lambda text: seen[text]), seen))
        wanted.append(sum(number * share for number, share in enumerate(row)) / total)
    tokens.append(("]}" if is_object else "]", {"]": 1.0}))
    reply = reply_of(*tokens)
    json.loads(reply.text)
    assert expected(reply, len(rows)) == pytest.approx(wanted)


def test_only_what_spells_numbers_counts_and_it_is_made_to_sum_to_one() -> None:
    """Bills et al. 2023: the listed numbers' probabilities, normalised."""
    reply = reply_of(("[", {"[": 1.0}), ("3", {"3": 0.4, "5": 0.4, "unknown": 0.2}), ("]", {"]": 1.0}))
    assert expected(reply, 1) == pytest.approx((4.0,))


def test_of_alternatives_that_say_too_little_the_written_number_counts() -> None:
    reply = reply_of(("[", {"[": 1.0}), ("3", {"3": 0.2, "5": 0.2}), ("]", {"]": 1.0}))
    assert expected(reply, 1) == (3.0,)


@pytest.mark.parametrize("going_on", [0.0, 0.25, 1.0])
def test_a_written_one_that_goes_on_or_not_is_told_by_the_next_token(going_on: float) -> None:
    """A tokenizer that splits digits: the mass of `1` is of 1 and of 10."""
    end = [("0", {"0": going_on, "]": 1 - going_on}), ("]", {"]": 1.0})]
    tail = end if going_on >= 0.5 else [("]", {"0": going_on, "]": 1 - going_on})]
    reply = reply_of(("[", {"[": 1.0}), ("1", {"1": 0.8, "5": 0.2}), *tail)
    assert expected(reply, 1) == pytest.approx((0.8 * (10 * going_on + 1 - going_on) + 0.2 * 5,))


def test_a_one_of_two_readings_beside_another_number_leaves_the_written_one() -> None:
    split = reply_of(("[", {"[": 1.0}), ("3", {"3": 0.7, "1": 0.3}), ("]", {"]": 1.0}))
    assert expected(split, 1) == (3.0,)
    hardly = reply_of(("[", {"[": 1.0}), ("3", {"3": 0.99, "1": 0.01}), ("]", {"]": 1.0}))
    assert expected(hardly, 1) == pytest.approx((2.98,))
    whole = reply_of(("[", {"[": 1.0}), ("3", {"3": 0.6, "1": 0.3, "10": 0.1}), ("]", {"]": 1.0}))
    assert expected(whole, 1) == pytest.approx((3.1,))


def test_a_fraction_and_a_stream_that_does_not_spell_the_text_leave_what_was_written() -> None:
    fraction = reply_of(("[", {"[": 1.0}), ("2", {"2": 0.5, "4": 0.5}), (".5", {".5": 1.0}), ("]", {"]": 1.0}))
    assert expected(fraction, 1) == (2.5,)
    other = Reply("[3]", "m", token_logprobs=(("x", {"x": 0.0}),))
    assert expected(other, 1) == (3.0,)
    assert expected(Reply("[3]", "m"), 1) == (3.0,)


def test_a_bracket_or_a_space_in_the_same_token_is_no_matter() -> None:
    reply = reply_of(("[2", {"[2": 0.5, "[4": 0.5}), (",", {",": 1.0}), (" 6", {" 6": 0.5, " 8": 0.5}), ("]", {"]": 1}))
    assert expected(reply, 2) == pytest.approx((3.0, 7.0))
