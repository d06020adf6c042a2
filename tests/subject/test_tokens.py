"""Token bytes and window text, for every way a vocabulary spells bytes."""

from __future__ import annotations

import copy
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from autointerp.records.window import Window
from autointerp.resources import resource
from autointerp.subject.tokens import (
    TokenText,
    bos_id,
    encode_texts,
    plain_tokenizer,
    separator_id,
    span_text,
    special_ids,
    token_bytes,
)
from tests.subject import kinds

HARD = [
    "",
    " ",
    " leading space",
    "two  spaces\tand\ttabs\r\nnewlines\n\n",
    "emoji 😀👨‍👩‍👧 and 👋🏽",
    "مرحبا بالعالم",
    "שלום",
    "数字は 12345 です。",
    "naïve café déjà\u0301",
    "\x00\x1b[0m control",
    "</s> <s> <unk> <|endoftext|> <0x41> [INST]",
]


def round_trips(tokenizer, texts: list[str]) -> list[str]:
    own = plain_tokenizer(tokenizer)
    text = TokenText.of(own)
    return [b"".join(text.document_pieces(ids)).decode() for ids in encode_texts(own, texts)]


def round_trip(tokenizer, text: str) -> str:
    return round_trips(tokenizer, [text])[0]


@pytest.mark.parametrize("text", HARD)
def test_joining_the_pieces_gives_the_text_back(text, byte_tokenizer, piece_tokenizer) -> None:
    assert round_trip(byte_tokenizer, text) == text
    assert round_trip(piece_tokenizer, text) == text


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"), max_size=40))
def test_any_text_comes_back(text, byte_tokenizer, piece_tokenizer) -> None:
    assert round_trip(byte_tokenizer, text) == text
    assert round_trip(piece_tokenizer, text) == text


def test_characters_are_split_over_tokens(byte_tokenizer) -> None:
    pieces = TokenText.of(byte_tokenizer).document_pieces(encode_texts(byte_tokenizer, ["😀"])[0])
    assert len(pieces) > 1 and b"".join(pieces) == "😀".encode()


def test_an_added_space_is_taken_off_at_the_start_of_a_document_only(piece_tokenizer) -> None:
    text = TokenText.of(piece_tokenizer)
    ids = encode_texts(piece_tokenizer, ["the the"])[0]
    assert text.adds_space
    assert text.document_pieces(ids)[0] == b"th"
    assert text.document_pieces(ids, offset=2)[0] == b" th"


def test_special_spellings_in_a_text_stay_text(byte_tokenizer, piece_tokenizer) -> None:
    for tokenizer in (byte_tokenizer, piece_tokenizer):
        ids = encode_texts(plain_tokenizer(tokenizer), ["a </s><|endoftext|> b"])[0]
        assert not set(ids) & special_ids(tokenizer)
    assert set(encode_texts(byte_tokenizer, ["<|endoftext|>"])[0]) == {0}, "the caller's own tokenizer is unchanged"


def enlarged(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """With a pad token and two others added behind the model's rows, which text may spell."""
    own = copy.deepcopy(tokenizer)
    own.add_special_tokens({"pad_token": "<pad>"})
    own.add_tokens(["<image>", AddedToken("ball", normalized=True)])
    return own


@pytest.mark.parametrize("kind", ["byte", "piece", "unigram"])
def test_added_tokens_beyond_the_models_rows_are_read_as_text(kind, byte_tokenizer, piece_tokenizer) -> None:
    tokenizer = {"byte": byte_tokenizer, "piece": piece_tokenizer, "unigram": kinds.unigram()}[kind]
    n_rows, larger = len(tokenizer), enlarged(tokenizer)
    texts = ["a ball, <image><pad> and </s>", "<pad>"]
    assert max(encode_texts(larger, texts)[0]) >= n_rows
    own = plain_tokenizer(larger, n_rows=n_rows)
    assert encode_texts(own, texts) == encode_texts(plain_tokenizer(tokenizer), texts)
    assert own.get_vocab() == tokenizer.get_vocab()
    assert special_ids(own) == special_ids(tokenizer) and bos_id(own) == bos_id(tokenizer)
    assert len(larger) == n_rows + 3, "the caller's own tokenizer is unchanged"


def test_an_added_token_that_the_models_vocabulary_lists_too_is_left_out(byte_tokenizer) -> None:
    tree = json.loads(byte_tokenizer.backend_tokenizer.to_str())
    n_rows = len(byte_tokenizer)
    tree["model"]["vocab"]["<image>"] = n_rows
    tree["added_tokens"].append(tree["added_tokens"][0] | {"id": n_rows, "content": "<image>"})
    larger = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(tree)))
    own = plain_tokenizer(larger, n_rows=n_rows)
    assert max(encode_texts(own, ["<image>"])[0]) < n_rows
    assert own.get_vocab() == byte_tokenizer.get_vocab()


def test_a_bos_beyond_the_rows_is_none(piece_tokenizer) -> None:
    larger = copy.deepcopy(piece_tokenizer)
    larger.add_special_tokens({"bos_token": "<begin>"})
    own = plain_tokenizer(larger, n_rows=len(piece_tokenizer))
    assert bos_id(own) is None and separator_id(own) == 2 and special_ids(own) == {0, 1, 2}


def test_a_vocabulary_that_text_needs_is_never_cut(byte_tokenizer) -> None:
    for n_rows in (len(byte_tokenizer) - 1, 10):
        with pytest.raises(ValueError, match="lie beyond"):
            plain_tokenizer(enlarged(byte_tokenizer), n_rows=n_rows)
    tree = json.loads(byte_tokenizer.backend_tokenizer.to_str())
    last = max(tree["model"]["vocab"], key=tree["model"]["vocab"].get)
    tree["added_tokens"].append(tree["added_tokens"][0] | {"id": len(byte_tokenizer) - 1, "content": last})
    merged = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(tree)))
    with pytest.raises(ValueError, match="lie beyond"):
        plain_tokenizer(merged, n_rows=len(byte_tokenizer) - 1)


def test_special_tokens_and_separator(byte_tokenizer, piece_tokenizer) -> None:
    assert special_ids(byte_tokenizer) == {0} and separator_id(byte_tokenizer) == 0
    # with a token for every byte no text becomes the unknown word
    assert special_ids(piece_tokenizer) == {0, 1, 2} and separator_id(piece_tokenizer) == 1


def test_every_token_marked_special_is_no_text(byte_tokenizer) -> None:
    larger = copy.deepcopy(byte_tokenizer)
    larger.add_tokens([AddedToken("<filename>", special=True), AddedToken("<|im_start|>", special=True), "plain"])
    first = larger.convert_tokens_to_ids("<filename>")
    assert special_ids(larger) == special_ids(byte_tokenizer) | {first, first + 1}


def test_an_unknown_word_is_text_where_words_can_be_unknown() -> None:
    for tokenizer in (kinds.word_piece(), kinds.word_level()):
        assert tokenizer.unk_token_id not in special_ids(tokenizer)


def test_a_padded_vocabulary_has_empty_pieces(byte_tokenizer) -> None:
    text = TokenText.of(byte_tokenizer, vocab_size=400)
    assert len(text.pieces) == 400 and text.pieces[-1] == b""
    assert text.display(0) == "<|endoftext|>"


def test_other_vocabularies_are_plain_strings() -> None:
    tokenizer = Tokenizer(models.WordLevel({"un": 0, "été": 1}, unk_token="un"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert token_bytes(PreTrainedTokenizerFast(tokenizer_object=tokenizer)) == [b"un", "été".encode()]


def spans_agree(text: str, starts: tuple[int, ...], pieces: list[bytes]) -> None:
    raw = text.encode()
    assert len(starts) == len(pieces) + 1
    assert list(starts) == sorted(starts) and starts[0] >= 0 and starts[-1] <= len(raw)
    assert starts[0] <= 3 and len(raw) - starts[-1] <= 3


@settings(max_examples=200, deadline=None)
@given(data=st.data(), text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_a_span_of_valid_text_is_widened_to_whole_characters(data, text) -> None:
    raw = text.encode()
    start = data.draw(st.integers(0, len(raw) - 1))
    end = data.draw(st.integers(start + 1, len(raw)))
    cuts = sorted({start, end, *data.draw(st.lists(st.integers(start, end), max_size=5))})
    pieces = [raw[a:b] for a, b in pairwise(cuts)]
    shown, starts = span_text(pieces, before=raw[:start], after=raw[end:])
    spans_agree(shown, starts, pieces)
    assert shown in text
    assert [shown.encode()[a:b] for a, b in pairwise(starts)] == pieces


@settings(max_examples=200, deadline=None)
@given(pieces=st.lists(st.binary(max_size=5), max_size=6), before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_any_bytes_give_a_consistent_window(pieces, before, after) -> None:
    shown, starts = span_text(pieces, before=before, after=after)
    spans_agree(shown, starts, pieces)
    if pieces:
        zeros = (0.0,) * len(pieces)
        window = Window("w", "d", 0, "score", "top", 0, shown, (0,) * len(pieces), starts, zeros, 0)
        spans = [window.character_span(i) for i in range(len(pieces))]
        assert all(0 <= low <= high <= len(shown) for low, high in spans)


def test_half_a_character_without_neighbours_is_replaced() -> None:
    euro = "€".encode()
    assert span_text([b"a", euro[:1]]) == ("a\ufffd", (0, 1, 4))
    assert span_text([b"a", euro[:1]], after=euro[1:]) == ("a€", (0, 1, 2))
    assert span_text([euro[2:], b"b"], before=b"xy" + euro[:2]) == ("€b", (2, 3, 4))
    assert span_text([euro[2:], b"b"]) == ("\ufffdb", (0, 3, 4))
    assert span_text([euro[:1], euro[1:2], b"!"]) == ("\ufffd!", (0, 1, 3, 4))


@pytest.mark.real
@pytest.mark.parametrize("name", ["tokenizers/gpt2", "models/stories260K"])
def test_real_tokenizers_round_trip(name, real_data) -> None:
    tokenizer = AutoTokenizer.from_pretrained(real_data / name)
    texts = [*HARD, (real_data / "text" / "tinyshakespeare.txt").read_text()]
    assert round_trips(tokenizer, texts) == texts


def test_the_builtin_tokenizer_round_trips() -> None:
    if not (resource("subjects/builtin") / "tokenizer.json").is_file():
        pytest.skip("the builtin subject is not in this checkout")
    tokenizer = AutoTokenizer.from_pretrained(resource("subjects/builtin"))
    assert round_trips(tokenizer, HARD) == HARD
