"""Marks and word splits as they stand in prompts, whatever the text holds."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.prompting.marking import mark, quote
from autointerp.prompting.notation import Notation, word_cuts
from tests.prompting.test_marking import CONTROL_TOKEN, HOSTILE, make_window

V1, V2 = Notation(False, False), Notation(True, False)
EVERY = [Notation(has_brackets, has_cuts) for has_brackets in (False, True) for has_cuts in (False, True)]
PART = st.one_of(
    st.sampled_from([*HOSTILE, "\u00ab", "\u00bb", "\u00b7", "\u00ab\u00bb\u00ab", "\\", "\\u00ab"]),
    st.text(alphabet='ab7 _"\\<>|[]/\n\u00ab\u00bb\u00b7\u00e9\u6771', max_size=6),
)


@st.composite
def marked_texts(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]], list[int]]:
    text = "".join(draw(st.lists(PART, max_size=8)))
    edges = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    cuts = draw(st.sets(st.integers(1, len(text) - 1), max_size=4)) if len(text) > 1 else set()
    # splits stand between characters of words
    within = [c for c in sorted(cuts) if text[c - 1].isalnum() and text[c].isalnum()]
    return text, list(zip(edges[::2], edges[1::2], strict=False)), within


@given(marked_texts(), st.sampled_from(EVERY))
def test_what_is_written_can_be_read(case: tuple[str, list[tuple[int, int]], list[int]], notation: Notation) -> None:
    text, spans, cuts = case
    written = notation.write(text, spans, cuts if notation.has_cuts else ())
    assert notation.read(written) == (text, spans)
    assert notation.write(text, spans) == notation.write(text, spans, [])


@given(marked_texts())
def test_a_bare_sign_is_always_ours(case: tuple[str, list[tuple[int, int]], list[int]]) -> None:
    text, spans, cuts = case
    written = Notation(True, True).write(text, spans, cuts)
    assert re.findall("[\u00ab\u00bb]", written) == ["\u00ab", "\u00bb"] * len(spans)
    inside = {c for c in cuts if any(start <= c <= end for start, end in spans)}
    assert written.count("\u00b7") == len(set(cuts) - inside)


@given(marked_texts(), st.sampled_from(EVERY))
def test_it_is_one_line_of_json_without_control_tokens(
    case: tuple[str, list[tuple[int, int]], list[int]], notation: Notation
) -> None:
    written = notation.write(*case)
    assert len(written.splitlines()) == 1
    assert isinstance(json.loads(written), str)
    assert not CONTROL_TOKEN.search(written)


@given(marked_texts())
def test_version_1_is_what_it_was(case: tuple[str, list[tuple[int, int]], list[int]]) -> None:
    text, spans, _ = case
    assert V1.write(text, spans) == quote(mark(text, spans))
    assert V1.write(text) == V2.write(text).replace("\\u00ab", "\u00ab").replace("\\u00bb", "\u00bb") or "\\u00" in text


@pytest.mark.parametrize(
    ("text", "span", "written"),
    [
        ("as", (1, 2), '"a\u00abs\u00bb"'),
        ("</title>", (0, 2), '"\u00ab</\u00bbtitle>"'),
        ("<code>", (1, 5), '"<\u00abcode\u00bb>"'),
        ("a << b", (2, 4), '"a \u00ab<<\u00bb b"'),
        ("\u00aboui\u00bb", (1, 4), '"\\u00ab\u00aboui\u00bb\\u00bb"'),
        ("a\\", (1, 2), '"a\u00ab\\\\\u00bb"'),
    ],
)
def test_marks_touch_no_escape(text: str, span: tuple[int, int], written: str) -> None:
    assert V2.write(text, [span]) == written


def test_splits_of_words_are_shown_and_other_ends_of_tokens_are_not() -> None:
    # " her", "self", ".", " don", "'t", " 476", "7"
    window = make_window(" herself. don't 4767", (0, 4, 8, 9, 13, 15, 19, 20), (0.0,) * 7)
    assert word_cuts(window) == [4, 13, 19]
    assert Notation(True, True).write_window(window) == '" her\u00b7self. don\u00b7\'t 476\u00b77"'
    assert Notation(True, True).write_window(window, [(4, 8)]) == '" her\u00abself\u00bb. don\u00b7\'t 476\u00b77"'
    assert V2.write_window(window) == '" herself. don\'t 4767"'


@pytest.mark.parametrize("spans", [[(2, 1)], [(0, 2), (1, 3)], [(0, 9)], [(-1, 1)]])
@pytest.mark.parametrize("notation", [V1, V2])
def test_impossible_spans_are_refused(notation: Notation, spans: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="span"):
        notation.write("abcd", spans)
