"""Streams of activations: contexts run through the subject batch by batch, with nothing kept between batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.errors import InputError
from autointerp.subject.packing import PackedBatch, Packing, iter_batches

if TYPE_CHECKING:
    from autointerp.subject.corpus import Corpus
    from autointerp.subject.model import Subject

__all__ = [
    "SharedForward",
    "TrainingChunks",
    "iter_activations",
    "iter_training_batches",
    "iter_training_chunks",
    "shorter",
]


def iter_activations(
    subject: Subject, batches: Iterable[PackedBatch], points: Sequence[SitePoint]
) -> Iterator[tuple[PackedBatch, dict[SitePoint, Float[Tensor, "batch pos d_in"]]]]:
    """Each batch with its activations: float32 on the subject's device, special tokens included.

    Raises SubjectError for a point the subject does not have.
    """
    for point in points:
        subject.check(point)
    for batch in batches:
        yield batch, subject.activations(batch.tokens, points)


def iter_training_chunks(
    subject: Subject, batches: Iterable[PackedBatch], point: SitePoint, *, longest: float = math.inf
) -> Iterator[Float[Tensor, "batch d_in"]]:
    """Activations at text positions, one chunk per batch in reading order, without sinks (norm above `longest`)."""
    for batch, per_point in iter_activations(subject, batches, [point]):
        activations = per_point[point]
        yield shorter(activations[batch.is_text.to(activations.device)], longest)


def shorter(rows: Float[Tensor, "n d_in"], longest: float) -> Float[Tensor, "m d_in"]:
    """The rows without sinks."""
    return rows if longest == math.inf else rows[~(rows.norm(dim=1) > longest)]


def iter_training_batches(
    subject: Subject,
    corpus: Corpus,
    *,
    max_tokens: int,
    context_tokens: int,
    batch_contexts: int,
    packing: Packing = "concatenate",
    shard: tuple[int, int] = (0, 1),
    skip_first: int = 0,
) -> Iterator[PackedBatch]:
    """`max_tokens` text tokens of the dictionary role; a shorter corpus is read again, in a new order each time.

    Shard (i, n) takes every n-th batch from the i-th on. Shards, and `skip_first`, may give a little more than
    `max_tokens`. Raises InputError where the role has no text.
    """
    index, n_shards = shard
    n_left, epoch, number, has_text = max_tokens, 0, 0, True
    while n_left > 0:
        if not has_text:
            raise InputError(
                f"subject.skip_first = {skip_first} leaves no text for the role 'dictionary'; lower it or raise "
                "subject.context_tokens"
            )
        has_text = False
        batches = iter_batches(
            corpus.iter_documents("dictionary", epoch=epoch),
            tokenizer=subject.tokenizer,
            role="dictionary",
            context_tokens=context_tokens,
            batch_contexts=batch_contexts,
            max_tokens=n_left if n_shards == 1 and not skip_first else None,
            packing=packing,
            skip_first=skip_first,
        )
        for batch in batches:
            has_text = has_text or batch.n_tokens > 0
            is_ours = number % n_shards == index
            number += 1
            if is_ours and n_left > 0:
                n_left -= batch.n_tokens
                yield batch
            if n_left <= 0:
                break
        epoch += 1


class SharedForward:
    """One forward per batch for readers of several points that take turns over the same batches.

    What the others have not come to waits for them: as many batches as one reader is ahead of another.
    """

    def __init__(self, subject: Subject, points: Iterable[SitePoint]) -> None:
        self._subject = subject
        self._waiting: dict[SitePoint, dict[int, Tensor]] = {point: {} for point in points}

    def rows(self, point: SitePoint, number: int, batch: PackedBatch) -> Float[Tensor, "n d_in"]:
        """Activations of batch `number` at its text tokens. A reader asks for rising numbers."""
        own = self._waiting.setdefault(point, {})
        for passed in [each for each in own if each < number]:
            del own[passed]
        if number not in own:
            ((_, found),) = iter_activations(self._subject, [batch], list(self._waiting))
            is_text = batch.is_text.to(self._subject.device)
            for each, waiting in self._waiting.items():
                waiting[number] = found[each][is_text]
        return own.pop(number)

    def leave(self, point: SitePoint) -> None:
        """The reader of a point has ended."""
        self._waiting.pop(point, None)


class TrainingChunks:
    """Activations of the dictionary role at one point, one chunk per batch of contexts; can begin at any row."""

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
        skip_first: int = 0,
        longest: float = math.inf,
        forward: SharedForward | None = None,
    ) -> None:
        self._subject, self._corpus, self._point, self._longest = subject, corpus, point, longest
        self._forward = forward or SharedForward(subject, [point])
        # one row per text token: to resume, what comes before is tokenised, but not run through the subject
        self._n_rows = -(-max_tokens // shard[1])
        self._packing: dict[str, Any] = {
            "context_tokens": context_tokens,
            "batch_contexts": batch_contexts,
            "packing": packing,
            "shard": shard,
            "skip_first": skip_first,
        }

    def __iter__(self) -> Iterator[Float[Tensor, "batch d_in"]]:
        return self.iter_from(0)

    def iter_from(self, n_rows: int) -> Iterator[Float[Tensor, "batch d_in"]]:
        n_passed = 0
        batches = iter_training_batches(self._subject, self._corpus, max_tokens=self._n_rows, **self._packing)
        for number, batch in enumerate(batches):
            start, n_passed = n_passed, n_passed + batch.n_tokens
            if n_passed > n_rows:
                chunk = self._forward.rows(self._point, number, batch)
                yield _with_others(chunk, self._longest)[max(0, n_rows - start) : self._n_rows - start]


def _with_others(chunk: Float[Tensor, "batch d_in"], longest: float) -> Float[Tensor, "batch d_in"]:
    """The chunk with every row longer than `longest` replaced by the next that is not; all are shortened where none
    is.
    """
    if longest == math.inf:
        return chunk
    norms = chunk.norm(dim=1)
    others = (~(norms > longest)).nonzero()[:, 0]
    if len(others) == 0:
        return chunk * (longest / norms)[:, None]
    place = torch.searchsorted(others, torch.arange(len(chunk), device=chunk.device))
    return chunk[others[place % len(others)]]
