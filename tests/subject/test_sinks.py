"""Attention sinks: found where they were planted, not where norms are merely uneven; left out of batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from autointerp.config.sites import SitePoint
from autointerp.config.tree import CorpusConfig, SubjectConfig
from autointerp.subject.activations import TrainingChunks, iter_training_batches, iter_training_chunks
from autointerp.subject.corpus import Corpus, open_corpus
from autointerp.subject.model import Subject, load_subject
from autointerp.subject.packing import PackedBatch
from autointerp.subject.sinks import find_sinks, iter_without_sinks
from tests.stages.planted_subject import save_planted, save_words

POINT = SitePoint("resid_pre", 0)
WIDTH, N_VOCAB, CONTEXT = 8, 50, 32
READING = {"max_tokens": 4000, "context_tokens": CONTEXT, "batch_contexts": 4}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    path = tmp_path_factory.mktemp("words") / "words.jsonl"
    return open_corpus(CorpusConfig(path=str(save_words(path, n_vocab=N_VOCAB, n_documents=150, n_words=80))))


def _subject(folder: Path, *, tokens: torch.Tensor, positions: torch.Tensor) -> Subject:
    model = save_planted(folder, tokens=tokens, positions=positions)
    return load_subject(SubjectConfig(model=str(model), site="resid_pre", context_tokens=CONTEXT), device="cpu")


def _planted() -> tuple[torch.Tensor, torch.Tensor]:
    """Activations of tokens, and of positions, where nothing stands out."""
    draw = torch.Generator().manual_seed(0)
    return torch.randn(N_VOCAB, WIDTH, generator=draw), torch.zeros(CONTEXT, WIDTH)


@pytest.fixture(scope="module")
def sunk(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A subject whose first token in every context is 30 times as long as others."""
    tokens, positions = _planted()
    positions[0, 2] = 90.0
    return _subject(tmp_path_factory.mktemp("sunk") / "model", tokens=tokens, positions=positions)


def _contexts(subject: Subject, corpus: Corpus) -> list[PackedBatch]:
    return list(iter_training_batches(subject, corpus, **READING))


def test_planted_sinks_are_found(sunk: Subject, corpus: Corpus) -> None:
    contexts = _contexts(sunk, corpus)
    sinks = find_sinks(sunk, contexts, [POINT])[POINT]
    assert sinks is not None
    n_contexts = sum(len(batch.tokens) for batch in contexts)
    assert (sinks.n, sinks.positions) == (n_contexts, {"0": n_contexts})
    assert sinks.tokens_frac == n_contexts / 4000
    assert sinks.variance_frac > 0.9 and 25 < sinks.norm_ratio < 40
    assert "positions 0 (" in sinks.in_short()


def test_a_site_that_is_mostly_silent_has_no_sinks(tmp_path: Path, corpus: Corpus) -> None:
    """No length is ordinary where most activations have none."""
    tokens, positions = (torch.zeros_like(part) for part in _planted())
    positions[0, 2] = 90.0
    silent = _subject(tmp_path / "model", tokens=tokens, positions=positions)
    assert find_sinks(silent, _contexts(silent, corpus), [POINT])[POINT] is None


def test_batches_without_sinks_hold_all_other_text(sunk: Subject, corpus: Corpus) -> None:
    contexts = _contexts(sunk, corpus)
    for whole, batch in zip(contexts, iter_without_sinks(sunk, contexts, {POINT: 30.0}), strict=True):
        assert torch.equal(batch.tokens, whole.tokens)
        assert not batch.is_text[:, 0].any() and torch.equal(batch.is_text[:, 1:], whole.is_text[:, 1:])
        assert bool((batch.offset[:, 0] == -1).all()) and torch.equal(batch.offset[:, 1:], whole.offset[:, 1:])


def test_training_rows_are_as_many_as_tokens_and_hold_no_sink(sunk: Subject, corpus: Corpus) -> None:
    whole = torch.cat(list(TrainingChunks(sunk, corpus, POINT, **READING)))
    chunks = TrainingChunks(sunk, corpus, POINT, longest=30.0, **READING)
    kept = torch.cat(list(chunks))
    is_sink = whole.norm(dim=1) > 30
    assert kept.shape == whole.shape and float(kept.norm(dim=1).max()) < 30
    assert torch.equal(kept[~is_sink], whole[~is_sink])
    next_row = is_sink.nonzero()[:, 0] + 1
    assert torch.equal(kept[is_sink], whole[next_row])
    for n_rows in (1, 130, 3999):
        assert torch.equal(torch.cat(list(chunks.iter_from(n_rows))), kept[n_rows:])
    sample = torch.cat(list(iter_training_chunks(sunk, _contexts(sunk, corpus), POINT, longest=30.0)))
    assert torch.equal(sample, whole[~is_sink])


def test_a_chunk_of_sinks_alone_is_shortened(sunk: Subject, corpus: Corpus) -> None:
    one = next(iter(TrainingChunks(sunk, corpus, POINT, longest=30.0, **(READING | {"max_tokens": 1}))))
    torch.testing.assert_close(one.norm(dim=1), torch.tensor([30.0]))


@pytest.mark.parametrize("what", ["nothing", "a token", "a spread", "a trifle"])
def test_what_is_no_sink(what: str, corpus: Corpus, tmp_path: Path) -> None:
    tokens, positions = _planted()
    if what == "a token":
        tokens[1:5] *= 30  # one in twelve tokens
    if what == "a spread":
        tokens *= torch.logspace(-1, 1.3, N_VOCAB)[:, None]
    tokens[0] = 8 * tokens[1:].norm(dim=1).median() / WIDTH**0.5  # a rare token
    subject = _subject(tmp_path / "model", tokens=tokens, positions=positions)
    contexts = _contexts(subject, corpus)
    if what == "a trifle":
        contexts[3].tokens[1, 7] = 0
    assert find_sinks(subject, contexts, [POINT])[POINT] is None


def test_the_builtin_subject_has_none() -> None:
    subject = load_subject(SubjectConfig(), device="cpu")
    builtin = open_corpus(CorpusConfig())
    contexts = list(iter_training_batches(subject, builtin, max_tokens=4096, context_tokens=128, batch_contexts=16))
    for site in ("resid_pre", "resid_mid", "resid_post", "mlp_post", "mlp_out", "attn_z", "attn_out"):
        assert find_sinks(subject, contexts, [SitePoint(site, 0)])[SitePoint(site, 0)] is None
