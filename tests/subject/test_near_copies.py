"""Near copies of documents are left out, the same ones in every pass; what only resembles them stays."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.records.document import Document
from autointerp.subject.corpus import Corpus
from autointerp.subject.near_copies import NearCopies

WORDS = [f"word{n}" for n in range(400)]


def text(seed: int, n_words: int = 300) -> str:
    return " ".join(Random(seed).choices(WORDS, k=n_words))


def document(name: str, words: str) -> Document:
    return Document(name, "here", words)


def test_a_copy_with_another_head_and_a_few_words_changed_is_left_out() -> None:
    near, original = NearCopies(), text(1)
    copied = original.split()
    copied[150] = "other"
    assert not near.is_copy(document("a", original))
    assert near.is_copy(document("b", "another head " + " ".join(copied)))
    assert near.is_copy(document("c", original))


def test_half_a_copy_and_short_documents_stay() -> None:
    near, original = NearCopies(), text(1)
    assert not near.is_copy(document("a", original))
    assert not near.is_copy(document("b", original[: len(original) // 2] + text(2)))
    assert not near.is_copy(document("c", "a few words only"))
    assert not near.is_copy(document("d", "a few words only"))


@settings(max_examples=25)
@given(seeds=st.lists(st.integers(0, 6), min_size=2, max_size=12))
def test_each_text_is_read_once_whatever_the_order(seeds: list[int]) -> None:
    near = NearCopies()
    kept = [seed for place, seed in enumerate(seeds) if not near.is_copy(document(str(place), text(seed)))]
    assert kept == list(dict.fromkeys(seeds))


def test_a_corpus_leaves_the_same_copies_out_in_every_role_and_pass() -> None:
    def read() -> Iterator[Document]:
        for place in range(40):
            yield document(f"d{place}", text(place // 2))

    corpus = Corpus("here", {"explain": 0.5, "score": 0.5}, {}, read, lambda: "")
    roles = [[d.id for d in corpus.iter_documents(role)] for role in ("explain", "score", "explain")]
    assert corpus.n_copies == 20
    assert roles[0] == roles[2]
    texts = {d.text for role in ("explain", "score") for d in corpus.iter_documents(role)}
    assert len(texts) == len(roles[0]) + len(roles[1]) == 20
    assert all(a != b for a, b in pairwise(sorted(texts)))
