"""Documents as token ids: plain ones, conversations, rows that were tokenised before."""

from __future__ import annotations

import copy

import pytest

from autointerp.errors import InputError
from autointerp.records.document import Document
from autointerp.subject.encoding import Encoded, iter_encoded
from autointerp.subject.tokens import TokenText, encode_texts, plain_tokenizer
from tests.subject import kinds

MESSAGES = ({"role": "user", "content": "Hi <|im_end|> there"}, {"role": "assistant", "content": "Hello"})
RENDERED = "user: Hi <|im_end|> there\nassistant: Hello"
TEMPLATE = "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


@pytest.fixture(scope="module")
def chat_tokenizer(byte_tokenizer):
    """Special tokens of a chat template, added to byte-level BPE."""
    own = copy.deepcopy(byte_tokenizer)
    own.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    own.chat_template = TEMPLATE
    return plain_tokenizer(own)


def encoded(tokenizer, *documents: Document) -> list[Encoded]:
    return list(iter_encoded(documents, tokenizer=tokenizer))


def text_of(found: Encoded, tokenizer) -> str:
    """The text tokens alone."""
    pieces = TokenText.of(tokenizer).document_pieces(found.ids.tolist())
    return b"".join(piece for piece, is_text in zip(pieces, found.is_text, strict=True) if is_text).decode()


def test_a_conversation_is_rendered_by_the_chat_template(chat_tokenizer) -> None:
    plain = Document("p", "t", "</s> between")
    first, found, last = encoded(chat_tokenizer, plain, Document("c", "t", RENDERED, MESSAGES), plain)
    assert text_of(found, chat_tokenizer) == "user\nHi  there\nassistant\nHello\n"
    start, end = chat_tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert [token for token, is_text in zip(found.ids, found.is_text, strict=True) if not is_text] == [
        start, end, end, start, end
    ]  # fmt: skip
    assert found.ids[0] == start, "BOS is left to the context"
    assert first.ids.tolist() == last.ids.tolist() == encode_texts(chat_tokenizer, [plain.text])[0]
    assert not set(encode_texts(chat_tokenizer, ["<|im_end|>"])[0]) & {end}, "plain texts spell no special tokens after"


def test_without_a_template_a_conversation_is_its_lines(byte_tokenizer) -> None:
    (found,) = encoded(plain_tokenizer(byte_tokenizer), Document("c", "t", RENDERED, MESSAGES))
    assert found.is_text.all() and text_of(found, byte_tokenizer) == RENDERED
    encoded(byte_tokenizer, Document("c", "t", RENDERED, MESSAGES))
    assert encode_texts(byte_tokenizer, ["<|endoftext|>"]) == [[0]], "a tokenizer is given back as it came"


def test_a_template_that_refuses_a_row_is_named(chat_tokenizer) -> None:
    own = copy.deepcopy(chat_tokenizer)
    own.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(InputError, match=r"refuses c#7 \(System role not supported\).*corpus\.text_field"):
        encoded(own, Document("c#7", "t", RENDERED, MESSAGES))


def test_a_tokenised_row_keeps_its_ids(byte_tokenizer) -> None:
    ids = encode_texts(byte_tokenizer, ["one two"])[0]
    found, *rest = encoded(
        byte_tokenizer,
        Document("r", "t", "", token_ids=(0, *ids, 0, *ids, 0, 0)),
        Document("e", "t", "", token_ids=(0, 0)),
    )
    assert found.ids.tolist() == [*ids, 0, *ids], "BOS and padding at its ends are left off"
    assert found.n_text == 2 * len(ids) and not found.is_text[len(ids)]
    assert rest == [], "a row of special tokens holds no text"


def test_foreign_ids_are_refused(byte_tokenizer) -> None:
    with pytest.raises(InputError, match=r"f\.jsonl#3 holds the token id 300, .*\(300 entries\)"):
        encoded(byte_tokenizer, Document("f.jsonl#3", "t", "", token_ids=(5, 300)))
    with pytest.raises(InputError, match=r"do not tell the text between words; give the texts"):
        encoded(kinds.word_piece(), Document("r", "t", "", token_ids=(5, 6)))


def test_pieces_without_bytes_tell_a_tokenised_rows_text() -> None:
    tokenizer = kinds.unigram()
    ids = encode_texts(tokenizer, ["Lily ball"])[0]
    (found,) = encoded(tokenizer, Document("r", "t", "", token_ids=tuple(ids)))
    assert found.text == b"Lily ball" and found.spans is not None
    assert found.spans[1].tolist()[-1] == len(found.text)


def test_spans_are_bytes_of_the_text() -> None:
    text = "  Lily's bäll 😀 rolled"
    (found,) = encoded(kinds.word_level(), Document("d", "t", text))
    assert found.text == text.encode() and found.spans is not None
    pieces = [found.text[low:high].decode() for low, high in found.spans.T.tolist()]
    assert pieces == ["  Lily", "'", "s", " bäll", " 😀", " rolled"]


def test_the_head_counts_text_tokens(byte_tokenizer) -> None:
    ids = tuple(encode_texts(byte_tokenizer, ["abcdef"])[0])
    (found,) = encoded(byte_tokenizer, Document("r", "t", "", token_ids=(*ids, 0, *ids)))
    for n in (1, len(ids), len(ids) + 1, 2 * len(ids), 100):
        assert found.head(n).n_text == min(n, 2 * len(ids))
