"""Contexts: nothing lost, boundaries remembered, only the last one padded."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from autointerp.config.sites import SitePoint
from autointerp.config.tree import CorpusConfig
from autointerp.errors import InputError
from autointerp.records.document import Document
from autointerp.subject.corpus import open_corpus
from autointerp.subject.packing import PackedBatch, count_tokens, iter_batches, require_tokens
from autointerp.subject.tokens import encode_texts


def pack(documents, tokenizer, **options) -> list[PackedBatch]:
    settings = {"role": "explain", "context_tokens": 16, "batch_contexts": 4} | options
    return list(iter_batches(documents, tokenizer=tokenizer, **settings))


def collected(batches: list[PackedBatch]) -> dict[str, dict[int, int]]:
    """Token id by offset by document; fails where one position stands twice."""
    found: dict[str, dict[int, int]] = {}
    for batch in batches:
        for row in range(batch.tokens.shape[0]):
            for token, document, offset in zip(
                batch.tokens[row].tolist(), batch.document[row].tolist(), batch.offset[row].tolist(), strict=True
            ):
                if document >= 0:
                    place = found.setdefault(batch.documents[document], {})
                    assert offset not in place
                    place[offset] = token
    return found


@pytest.mark.parametrize("context_tokens", [8, 13, 64])
def test_every_token_stands_once_at_its_offset(context_tokens, documents, byte_tokenizer) -> None:
    found = collected(pack(documents, byte_tokenizer, context_tokens=context_tokens))
    for document in documents:
        ids = encode_texts(byte_tokenizer, [document.text])[0]
        assert found[document.id] == dict(enumerate(ids))


@pytest.mark.parametrize("max_tokens", [None, 50])
@pytest.mark.parametrize("packing", ["concatenate", "document"])
def test_the_last_token_of_a_document_is_known(packing, max_tokens, documents, byte_tokenizer) -> None:
    lengths = {d.id: len(encode_texts(byte_tokenizer, [d.text])[0]) for d in documents}
    batches = pack(documents, byte_tokenizer, packing=packing, max_tokens=max_tokens)
    assert [dict(zip(b.documents, b.last_offsets, strict=True)) for b in batches] == [
        {name: lengths[name] - 1 for name in b.documents} for b in batches
    ]


def test_contexts_begin_with_bos_and_documents_are_separated(documents, byte_tokenizer) -> None:
    batches = pack(documents, byte_tokenizer, context_tokens=32)
    for batch in batches:
        assert (batch.tokens[:, 0] == 0).all()
        before, after = batch.document[:, :-1], batch.document[:, 1:]
        assert not ((before >= 0) & (after >= 0) & (before != after)).any(), "two documents touch"
        assert torch.equal(batch.is_text, batch.tokens != 0)
        assert torch.equal(batch.is_text, batch.offset >= 0)


def test_only_the_last_context_is_padded(documents, byte_tokenizer) -> None:
    batches = pack(documents, byte_tokenizer)
    assert all(batch.tokens.shape == (4, 16) for batch in batches[:-1])
    rows = torch.cat([batch.document for batch in batches])
    assert ((rows[:-1] < 0).sum(dim=1) <= 3).all(), "BOS, at most two boundaries here, never padding"
    n_tokens = sum(batch.n_tokens for batch in batches)
    assert n_tokens == sum(len(ids) for ids in encode_texts(byte_tokenizer, [d.text for d in documents]))


def test_a_long_document_goes_on_in_the_next_context(byte_tokenizer) -> None:
    text = "abcdefgh" * 20
    ids = encode_texts(byte_tokenizer, [text])[0]
    (batch,) = pack([Document("long", "t", text)], byte_tokenizer, batch_contexts=100)
    assert batch.tokens.shape[0] == -(-len(ids) // 15)
    assert batch.offset[1, :2].tolist() == [-1, 15] and batch.documents == ("long",)


def test_max_tokens_is_met_exactly(documents, byte_tokenizer) -> None:
    for n in (1, 100, 333):
        assert sum(batch.n_tokens for batch in pack(documents, byte_tokenizer, max_tokens=n)) == n


def test_shards_together_are_the_whole(documents, byte_tokenizer) -> None:
    whole = pack(documents, byte_tokenizer, max_tokens=700)
    parts = [pack(documents, byte_tokenizer, max_tokens=700, shard=(i, 3)) for i in range(3)]
    assert sum(len(part) for part in parts) == len(whole) > 6
    for index, batch in enumerate(whole):
        other = parts[index % 3][index // 3]
        assert torch.equal(batch.tokens, other.tokens) and batch.documents == other.documents
    with pytest.raises(ValueError, match="shard"):
        pack(documents, byte_tokenizer, shard=(3, 3))
    with pytest.raises(ValueError, match="context_tokens"):
        pack(documents, byte_tokenizer, context_tokens=1)


def test_grouped_tokenisation_changes_nothing(documents, byte_tokenizer, monkeypatch) -> None:
    whole = collected(pack(documents, byte_tokenizer))
    monkeypatch.setattr("autointerp.subject.encoding.TOKENISE_CHARACTERS", 50)
    assert collected(pack(documents, byte_tokenizer)) == whole


def test_without_bos_contexts_begin_with_text(documents, byte_tokenizer, piece_tokenizer) -> None:
    bare = copy.deepcopy(piece_tokenizer)
    bare.bos_token = None
    batch = pack(documents, bare, context_tokens=64)[0]
    assert batch.is_text[0, 0] and set(batch.tokens[~batch.is_text].tolist()) == {2}, "EOS separates"
    bare.eos_token = None
    batch = pack(documents, bare, context_tokens=64)[0]
    assert batch.is_text.all()


def test_packed_by_document_every_context_holds_one(documents, byte_tokenizer) -> None:
    batches = pack(documents, byte_tokenizer, packing="document", context_tokens=64)
    for batch in batches:
        for row in range(len(batch.tokens)):
            own = batch.document[row]
            assert len(set(own[own >= 0].tolist())) == 1
            n = int((own >= 0).sum())
            assert batch.tokens[row, 0] == 0 and (own[1 : 1 + n] >= 0).all(), "BOS, text, padding"
        assert (batch.document[:, -1] >= 0).any(), "no wider than the longest"
    assert collected(batches) == collected(pack(documents, byte_tokenizer))
    short = pack(documents, byte_tokenizer, packing="document", max_tokens=100)
    assert sum(batch.n_tokens for batch in short) == 100


def test_packed_by_document_contexts_of_one_batch_are_of_like_length(byte_tokenizer) -> None:
    documents = [Document(f"d{i}", "test", "a b" * (1 + 7 * i % 40)) for i in range(200)]
    batches = pack(documents, byte_tokenizer, packing="document", context_tokens=64)
    assert collected(batches) == collected(pack(documents, byte_tokenizer))
    n_places = sum(batch.tokens.numel() for batch in batches)
    n_used = sum(batch.n_tokens + len(batch.tokens) for batch in batches)
    assert n_used > 0.9 * n_places
    for batch in batches:
        order = [int(name[1:]) for name in batch.documents]
        assert order == sorted(order) and set(batch.document.unique().tolist()) <= {-1, *range(len(order))}
    tokens = {batch.n_tokens for batch in pack(documents[:50], byte_tokenizer, packing="document", max_tokens=90)}
    assert sum(tokens) == 90, "the first tokens of the corpus, whatever their order"


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_packed_by_document_a_text_is_read_as_if_it_stood_alone(family, subjects, byte_tokenizer) -> None:
    """What is before it, and what pads it, changes nothing."""
    texts = ["Once upon a time.", "a", "def add(a, b): return a + b", "Once upon a time."]
    documents = [Document(f"d{i}", "test", text) for i, text in enumerate(texts)]
    point = SitePoint("resid_post", 1)
    subject = subjects[family]
    (batch,) = pack(documents, byte_tokenizer, packing="document", context_tokens=32)
    found = subject.activations(batch.tokens, [point])[point]
    for row, text in enumerate(texts):
        alone = torch.tensor([[0, *encode_texts(byte_tokenizer, [text])[0]]])
        expected = subject.activations(alone, [point])[point][0, 1:]
        torch.testing.assert_close(found[row][batch.is_text[row]], expected, rtol=1e-4, atol=1e-5)
    (joined,) = pack(documents, byte_tokenizer, context_tokens=64)
    together = subject.activations(joined.tokens, [point])[point][joined.document == 3]
    assert not torch.allclose(together, expected, atol=1e-2), "packed together it is another text's continuation"


def test_no_text_is_an_error(byte_tokenizer) -> None:
    with pytest.raises(InputError, match="no text for the role 'score'"):
        pack([], byte_tokenizer, role="score")


def test_a_corpus_too_short_says_how_short(tmp_path, sentences, byte_tokenizer) -> None:
    (tmp_path / "c.json").write_text(json.dumps([f"{i} {sentences[i % 8]}" for i in range(80)]))
    corpus = open_corpus(CorpusConfig(path=str(tmp_path / "c.json")))
    n = {role: count_tokens(corpus, tokenizer=byte_tokenizer, role=role) for role in ("explain", "score")}
    assert require_tokens(corpus, tokenizer=byte_tokenizer, roles=n, key="corpus.evidence_tokens") == n
    too_many = n | {"score": n["score"] + 1}
    with pytest.raises(
        InputError,
        match=rf"too short for corpus\.evidence_tokens.*explain {n['explain']:,} of.*score {n['score']:,} of",
    ):
        require_tokens(corpus, tokenizer=byte_tokenizer, roles=too_many, key="corpus.evidence_tokens")
