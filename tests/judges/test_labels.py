"""Where the labels stand in a reply, whatever way a tokenizer cuts it up."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.judges.in_process.labels import answer_template, by_text, is_answer_schema, label_token_ids
from autointerp.score.listing import reply_schema


class Cutter:
    """A tokenizer that cuts text by a pattern and numbers the pieces as they come."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._ids = re.compile(pattern), {}
        self.texts: list[str] = []

    def __call__(self, text: str) -> list[int]:
        pieces = self._pattern.findall(text)
        assert "".join(pieces) == text
        for piece in pieces:
            if piece not in self._ids:
                self._ids[piece] = len(self.texts)
                self.texts.append(piece)
        return [self._ids[piece] for piece in pieces]

    def text(self, ids: tuple[int, ...]) -> str:
        return "".join(self.texts[i] for i in ids)


CUTTERS = {
    "characters": r".",
    "digits with the space before": r" ?\d|[^\d ]+| ",
    "digits alone": r"\d|[^\d]+",
    "digits with what follows": r"\d[,\]]|[^\d]+",
    "digits with the bracket before": r"[\[ ]\d|[^\d\[ ]+|.",
    "one digit with the space before": r" 1|\d|[^\d ]+| ",
}


@pytest.mark.parametrize("pattern", CUTTERS.values(), ids=CUTTERS.keys())
@given(answers=st.lists(st.integers(0, 1), min_size=1, max_size=12))
def test_a_filled_template_is_the_reply(pattern: str, answers: list[int]) -> None:
    cut = Cutter(pattern)
    template = answer_template(cut, len(answers))
    assert len(template.positions) == len(answers)
    ids = template.fill(answers)
    assert cut.text(ids) == template.spell(answers)
    assert json.loads(template.spell(answers)) == {"answers": answers}
    for position, (zero, one) in zip(template.positions, template.labels, strict=True):
        assert ("0" in cut.texts[zero], "1" in cut.texts[one]) == (True, True)
        assert ids[position] in (zero, one)


@pytest.mark.parametrize("encode", [lambda text: [1] * len(text), lambda text: [len(text) + text.count("1")]])
def test_a_tokenizer_that_gives_labels_no_place_is_refused(encode: Callable[[str], list[int]]) -> None:
    with pytest.raises(ValueError, match="0 and 1 as one token each"):
        answer_template(encode, 3)


def test_every_spelling_of_a_label_is_found() -> None:
    cut = Cutter(CUTTERS["digits with the space before"])
    assert sorted(cut.texts[i] for i in label_token_ids(cut)) == [" 0", " 1", "0", "1"]
    assert label_token_ids(lambda text: [1] * len(text)) == ()


def test_the_scorers_schema_is_known_and_others_are_not() -> None:
    assert is_answer_schema(reply_schema(3))
    assert not is_answer_schema({})
    assert not is_answer_schema({"properties": {"answers": {"items": {"enum": [0, 1, 2]}}}})
    assert not is_answer_schema({"properties": {"answers": {"items": {"enum": [0, 1]}}, "why": {"type": "string"}}})
    assert not is_answer_schema({"properties": {"explanation": {"type": "string"}}})


@given(st.lists(st.tuples(st.sampled_from(["0", " 0", "1", "\ufffd"]), st.floats(0.001, 0.2)), min_size=1, max_size=4))
def test_tokens_that_read_alike_count_together(tokens: list[tuple[str, float]]) -> None:
    found = by_text((text, math.log(p)) for text, p in tokens)
    assert set(found) == {text for text, _ in tokens}
    for text, logprob in found.items():
        assert math.exp(logprob) == pytest.approx(sum(p for other, p in tokens if other == text))
