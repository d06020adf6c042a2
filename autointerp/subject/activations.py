"""Streams of activations: batches of contexts run through the subject, with nothing kept between batches.

Takes a subject, packed batches and site points. Does not know dictionaries or evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from autointerp.subject.packing import PackedBatch, Packing, iter_batches
from autointerp.subject.sites import SitePoint

if TYPE_CHECKING:
    from autointerp.subject.corpus import Corpus
    from autointerp.subject.model import Subject

__all__ = ["TrainingChunks", "iter_activations", "iter_training_batches", "iter_training_chunks"]


def iter_activations(
    subject: Subject, batches: Iterable[PackedBatch], points: Sequence[SitePoint]
) -> Iterator[tuple[PackedBatch, dict[SitePoint, Float[Tensor, "batch pos d_in"]]]]:
    """Each batch with its activations at every point (on the subject's device, float32, special tokens included).

    Raises SubjectError for a point the subject does not have.
    """
    for point in points:
        subject.check(point)
    for batch in batches:
        yield batch, subject.activations(batch.tokens, points)


def iter_training_chunks(
    subject: Subject, batches: Iterable[PackedBatch], point: SitePoint
) -> Iterator[Float[Tensor, "batch d_in"]]:
    """Activations at text positions only (special tokens left out), one chunk per batch, in reading order."""
    for batch, found in iter_activations(subject, batches, [point]):
        activations = found[point]
        yield activations[batch.is_text.to(activations.device)]


def iter_training_batches(
    subject: Subject,
    corpus: Corpus,
    *,
    max_tokens: int,
    context_tokens: int,
    batch_contexts: int,
    packing: Packing = "concatenate",
    shard: tuple[int, int] = (0, 1),
) -> Iterator[PackedBatch]:
    """`max_tokens` text tokens of the dictionary role; a shorter corpus is read again, in a new order each time.

    shard (i, n) gives every n-th batch from the i-th on, until these hold `max_tokens` or a little more: no two shards
    read the same batch of an epoch. Raises InputError where the role has no text.
    """
    index, n_shards = shard
    n_left, epoch, number = max_tokens, 0, 0
    while n_left > 0:
        batches = iter_batches(
            corpus.iter_documents("dictionary", epoch=epoch),
            tokenizer=subject.tokenizer,
            role="dictionary",
            context_tokens=context_tokens,
            batch_contexts=batch_contexts,
            max_tokens=n_left if n_shards == 1 else None,
            packing=packing,
        )
        for batch in batches:
            is_ours = number % n_shards == index
            number += 1
            if is_ours and n_left > 0:
                n_left -= batch.n_tokens
                yield batch
            if n_left <= 0:
                break
        epoch += 1


class TrainingChunks:
    """Activations of the dictionary role at one point, one chunk per batch of contexts; can be begun at any row.

    The text before that row is tokenised again, but the subject does not run on it. shard: see iter_training_batches;
    of `max_tokens` tokens, each of n shards gives its n-th part.
    """

    def __init__(
        self,
        subject: Subject,
        corpus: Corpus,
        point: SitePoint,
        *,
        max_tokens: int,
        context_tokens: int,
        batch_contexts: int,
        packing: Packing = "concatenate",
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self._subject, self._corpus, self._point = subject, corpus, point
        self._n_rows = -(-max_tokens // shard[1])
        self._packing: dict[str, Any] = {
            "context_tokens": context_tokens,
            "batch_contexts": batch_contexts,
            "packing": packing,
            "shard": shard,
        }

    def __iter__(self) -> Iterator[Float[Tensor, "batch d_in"]]:
        return self.iter_from(0)

    def iter_from(self, n_rows: int) -> Iterator[Float[Tensor, "batch d_in"]]:
        """The chunks after the first `n_rows` rows."""
        n_passed = 0
        for batch in iter_training_batches(self._subject, self._corpus, max_tokens=self._n_rows, **self._packing):
            start, n_passed = n_passed, n_passed + batch.n_tokens
            if n_passed > n_rows:
                (chunk,) = iter_training_chunks(self._subject, [batch], self._point)
                yield chunk[max(0, n_rows - start) : self._n_rows - start]
