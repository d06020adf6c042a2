"""Streams of activations: text positions only, again and again where the corpus is short."""

from __future__ import annotations

import json

import pytest
import torch

from autointerp.config.sites import SitePoint
from autointerp.config.tree import CorpusConfig
from autointerp.errors import SubjectError
from autointerp.subject.activations import iter_activations, iter_training_batches, iter_training_chunks
from autointerp.subject.corpus import open_corpus
from autointerp.subject.packing import iter_batches

POINT = SitePoint("mlp_post", 1)


@pytest.fixture
def batches(documents, byte_tokenizer):
    return list(
        iter_batches(
            documents, tokenizer=byte_tokenizer, role="explain", context_tokens=32, batch_contexts=4, max_tokens=500
        )
    )


def test_batches_come_with_their_activations(subjects, batches) -> None:
    points = [POINT, SitePoint("resid_pre", 2)]
    for batch, found in iter_activations(subjects["gpt2"], batches, points):
        assert set(found) == set(points)
        for point in points:
            alone = subjects["gpt2"].activations(batch.tokens, [point])[point]
            torch.testing.assert_close(found[point], alone)


def test_chunks_hold_text_positions_only(subjects, batches) -> None:
    chunks = list(iter_training_chunks(subjects["gpt2"], batches, POINT))
    assert sum(len(chunk) for chunk in chunks) == 500
    whole = subjects["gpt2"].activations(batches[0].tokens, [POINT])[POINT]
    torch.testing.assert_close(chunks[0], whole[batches[0].is_text])


def test_a_context_does_not_depend_on_its_batch(subjects, batches) -> None:
    tokens = batches[0].tokens
    together = subjects["llama"].activations(tokens, [POINT])[POINT]
    alone = subjects["llama"].activations(tokens[2:3], [POINT])[POINT]
    torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-5)


def test_a_short_corpus_is_read_again_in_another_order(tmp_path, sentences, subjects) -> None:
    (tmp_path / "c.json").write_text(json.dumps([f"{i} {sentences[i % 8]}" for i in range(30)]))
    corpus = open_corpus(CorpusConfig(path=str(tmp_path / "c.json")))
    options = {"max_tokens": 2500, "context_tokens": 32, "batch_contexts": 4}
    batches = list(iter_training_batches(subjects["gpt2"], corpus, **options))
    assert sum(batch.n_tokens for batch in batches) == 2500
    assert {batch.role for batch in batches} == {"dictionary"}
    order = [name for batch in batches for name in batch.documents]
    n = len(set(order))
    assert len(order) > 2 * n and order[:n] != order[n : 2 * n]
    again = list(iter_training_batches(subjects["gpt2"], corpus, **options))
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(batches, again, strict=True))


def test_an_unknown_point_is_refused_before_any_pass(subjects, batches) -> None:
    with pytest.raises(SubjectError, match=r"subject\.layer = 7"):
        next(iter_activations(subjects["gpt2"], batches, [SitePoint("mlp_post", 7)]))
