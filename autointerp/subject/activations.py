"""Streams of activations: batches of contexts run through the subject, with nothing kept between batches.

Takes a subject, packed batches and site points. Does not know dictionaries or evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from autointerp.subject.packing import PackedBatch, iter_batches
from autointerp.subject.sites import SitePoint

if TYPE_CHECKING:
    from autointerp.subject.corpus import Corpus
    from autointerp.subject.model import Subject

__all__ = ["iter_activations", "iter_training_batches", "iter_training_chunks"]


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
    subject: Subject, corpus: Corpus, *, max_tokens: int, context_tokens: int, batch_contexts: int
) -> Iterator[PackedBatch]:
    """`max_tokens` text tokens of the dictionary role; a shorter corpus is read again, in a new order each time.

    Raises InputError where the role has no text.
    """
    n_left, epoch = max_tokens, 0
    while n_left > 0:
        batches = iter_batches(
            corpus.iter_documents("dictionary", epoch=epoch),
            tokenizer=subject.tokenizer,
            role="dictionary",
            context_tokens=context_tokens,
            batch_contexts=batch_contexts,
            max_tokens=n_left,
        )
        for batch in batches:
            n_left -= batch.n_tokens
            yield batch
        epoch += 1
