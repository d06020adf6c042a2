from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.prompting.marking import firing_spans, mark, quote, show, strength, token_pieces, unmark
from autointerp.records.window import Window

TEXTS = st.text(alphabet=st.one_of(st.sampled_from('<>\\"\n ab'), st.characters()), max_size=30)


def make_window(text: str, starts: tuple[int, ...], activations: tuple[float, ...]) -> Window:
    ids = tuple(range(len(activations)))
    return Window("w", "d", 0, "score", "top", 0, text, ids, starts, activations, 0)


@st.composite
def marked_texts(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    text = draw(TEXTS)
    edges = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    spans = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False) if a < b]
    return text, spans


@given(marked_texts())
def test_marks_can_be_undone_exactly(case: tuple[str, list[tuple[int, int]]]) -> None:
    text, spans = case
    assert unmark(mark(text, spans)) == (text, spans)


@given(marked_texts())
def test_a_quoted_text_is_one_line_of_ascii_safe_json(case: tuple[str, list[tuple[int, int]]]) -> None:
    quoted = quote(mark(*case))
    assert unmark(json.loads(quoted)) == case
    assert len(quoted.splitlines()) == 1
    assert all(ord(character) >= 32 for character in quoted)


@pytest.mark.parametrize(
    ("text", "spans", "marked"),
    [
        ("a return x", [(1, 8)], "a<< return>> x"),
        ("a << b", [(5, 6)], r"a \<\< <<b>>"),
        ("if a < b", [(3, 4)], "if <<a>> < b"),
        ("<b>", [(1, 2)], r"\<<<b>>\>"),
        ("a<b", [(1, 2)], r"a<<\<>>b"),
        ("ab", [(0, 1), (1, 2)], "<<a>><<b>>"),
        ("", [], ""),
    ],
)
def test_marks_stand_out_from_brackets_of_the_text(text: str, spans: list[tuple[int, int]], marked: str) -> None:
    assert mark(text, spans) == marked


@pytest.mark.parametrize("spans", [[(2, 1)], [(0, 2), (1, 3)], [(0, 9)], [(-1, 1)]])
def test_impossible_spans_are_refused(spans: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="span"):
        mark("abcd", spans)


def test_lone_surrogates_and_invisible_characters_can_be_sent() -> None:
    text = "a\ud800\u202eb\x00\u2028</script>"
    quote(text).encode("utf-8")
    assert "\u202e" not in quote(text)
    assert json.loads(quote(text)) == text


@pytest.mark.parametrize(
    ("activation", "maximum", "shown"), [(0.0, 5.0, 0), (0.01, 5.0, 1), (2.5, 5.0, 5), (5.0, 5.0, 10), (9.0, 5.0, 10)]
)
def test_strengths_are_whole_numbers(activation: float, maximum: float, shown: int) -> None:
    assert strength(activation, maximum=maximum) == shown


def test_pieces_of_split_characters_join_to_the_text() -> None:
    # "é" is two bytes in two tokens, and the text begins and ends outside the tokens.
    window = make_window("xéy!", (1, 2, 3, 4), (0.0, 4.0, 0.0))
    assert token_pieces(window) == ("xé", "", "y!")
    assert show(window).activations == (4.0, 0.0, 0.0)
    assert firing_spans(window) == [((1, 2), 4.0)]


def test_tokens_of_one_character_are_marked_once() -> None:
    window = make_window("é y", (0, 1, 2, 4), (3.0, 4.0, 1.0))
    assert firing_spans(window) == [((0, 1), 4.0), ((1, 3), 1.0)]


@given(st.text(min_size=1, max_size=12), st.data())
def test_pieces_always_join_to_the_text(text: str, data: st.DataObject) -> None:
    n_bytes = len(text.encode())
    starts = sorted(data.draw(st.lists(st.integers(0, n_bytes), min_size=2, max_size=8)))
    window = make_window(text, tuple(starts), (1.0,) * (len(starts) - 1))
    assert "".join(token_pieces(window)) == text
    mark(text, [span for span, _ in firing_spans(window)])
