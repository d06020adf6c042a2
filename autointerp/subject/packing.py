"""Documents of one role packed into contexts of fixed length, with every token's document and offset remembered.

Takes documents and a subject's tokenizer; yields batches of token ids. Does not know models or activations.
A context is `[BOS] text [BOS] text ...`: it begins with BOS where the tokenizer has one, documents are separated
by BOS (by EOS where there is no BOS, by nothing where there is neither), a document longer than a context goes on
in the next one with its offset kept, and only the last context is padded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from autointerp.errors import InputError
from autointerp.records.document import Document, Role
from autointerp.subject.tokens import bos_id, encode_texts, separator_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from autointerp.subject.corpus import Corpus

__all__ = ["PackedBatch", "count_tokens", "iter_batches", "require_tokens"]

TOKENISE_CHARACTERS = 1 << 20
"""Text handed to the tokenizer at a time; bounds memory and keeps its threads busy."""


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """A batch of contexts, every one beginning with BOS where the tokenizer has one.

    tokens: token ids. document: index into `documents` of the document each token belongs to, -1 for special
    tokens and padding. offset: the token's position within its document's own token sequence (-1 likewise).
    """

    tokens: Int[Tensor, "batch pos"]
    document: Int[Tensor, "batch pos"]
    offset: Int[Tensor, "batch pos"]
    documents: tuple[str, ...]
    role: Role

    @property
    def is_text(self) -> Bool[Tensor, "batch pos"]:
        """Where a token of a document stands: everything that is counted, shown or trained on."""
        return self.document >= 0

    @property
    def n_tokens(self) -> int:
        return int(torch.count_nonzero(self.document >= 0))


def iter_batches(
    documents: Iterable[Document],
    *,
    tokenizer: PreTrainedTokenizerBase,
    role: Role,
    context_tokens: int,
    batch_contexts: int,
    max_tokens: int | None = None,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[PackedBatch]:
    """Batches of `batch_contexts` contexts of `context_tokens` tokens; the last batch may hold fewer contexts.

    `max_tokens` counts text tokens, is met exactly, and ends the stream early. `shard = (i, n)` yields every n-th
    batch from the i-th on: packing is that of the whole stream, so n shards together are exactly one unsharded
    pass. Document order is the caller's. Raises InputError when there is no text at all.
    """
    index, n_shards = shard
    if not 0 <= index < n_shards:
        raise ValueError(f"shard = {shard}: need 0 <= index < count")
    if context_tokens < 2:
        raise ValueError(f"context_tokens = {context_tokens}: a context holds BOS and at least one token")
    packer = _Packer(separator_id(tokenizer), bos_id(tokenizer), context_tokens, batch_contexts, role)
    n_left, n_batches = max_tokens, 0
    for document_id, ids in iter_encoded(documents, tokenizer=tokenizer):
        kept = ids if n_left is None else ids[:n_left]
        for batch in packer.add(document_id, kept):
            if n_batches % n_shards == index:
                yield batch
            n_batches += 1
        if n_left is not None:
            n_left -= len(kept)
            if n_left <= 0:
                break
    if packer.n_tokens == 0:
        raise InputError(f"corpus.path: no text for the role '{role}'; give more documents")
    for batch in packer.finish():
        if n_batches % n_shards == index:
            yield batch
        n_batches += 1


def iter_encoded(
    documents: Iterable[Document], *, tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[str, np.ndarray]]:
    """(document id, token ids) of each document that has at least one token, in order, tokenised in groups."""
    group: list[Document] = []
    n_characters = 0
    for document in documents:
        group.append(document)
        n_characters += len(document.text)
        if n_characters >= TOKENISE_CHARACTERS:
            yield from _encode_group(group, tokenizer)
            group, n_characters = [], 0
    yield from _encode_group(group, tokenizer)


def count_tokens(corpus: Corpus, *, tokenizer: PreTrainedTokenizerBase, role: Role, up_to: int | None = None) -> int:
    """Text tokens the corpus holds for a role, counted until `up_to` is reached."""
    total = 0
    for _, ids in iter_encoded(corpus.iter_documents(role), tokenizer=tokenizer):
        total += len(ids)
        if up_to is not None and total >= up_to:
            return up_to
    return total


def require_tokens(
    corpus: Corpus, *, tokenizer: PreTrainedTokenizerBase, roles: dict[Role, int], key: str
) -> dict[Role, int]:
    """Check before any work that each role has the tokens asked for; returns the counts found (capped).

    `key` is the config key that asked, such as `corpus.evidence_tokens`. Raises InputError with the count of every
    role asked for.
    """
    found: dict[Role, int] = {
        role: count_tokens(corpus, tokenizer=tokenizer, role=role, up_to=n) for role, n in roles.items()
    }
    if all(found[role] >= n for role, n in roles.items()):
        return found
    have = ", ".join(f"{role} {found[role]:,} of {n:,}" for role, n in roles.items())
    raise InputError(
        f"corpus.path = '{corpus.name}' is too short for {key} = {sum(roles.values())}: it has tokens by role: {have}; "
        f"lower {key} or give more text"
    )


def _encode_group(group: list[Document], tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[str, np.ndarray]]:
    for document, ids in zip(group, encode_texts(tokenizer, [d.text for d in group]), strict=True):
        if ids:
            yield document.id, np.asarray(ids, dtype=np.int64)


@dataclass(slots=True)
class _Packer:
    """The row being filled and the rows of the batch being filled."""

    separator: int | None
    bos: int | None
    context_tokens: int
    batch_contexts: int
    role: Role
    n_tokens: int = 0
    rows: list[np.ndarray] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    row: np.ndarray | None = None
    filled: int = 0

    def add(self, document_id: str, ids: np.ndarray) -> Iterator[PackedBatch]:
        """Place a document's tokens; yields each batch that becomes full."""
        offset = 0
        if self.row is not None and self.filled and self.separator is not None:
            self.row[0, self.filled] = self.separator
            self.filled += 1
            yield from self._close_if_full()
        self.n_tokens += len(ids)
        while offset < len(ids):
            if self.row is None:
                self._open()
            assert self.row is not None
            n = min(len(ids) - offset, self.context_tokens - self.filled)
            if n:
                if not self.documents or self.documents[-1] != document_id:
                    self.documents.append(document_id)
                span = slice(self.filled, self.filled + n)
                self.row[0, span] = ids[offset : offset + n]
                self.row[1, span] = len(self.documents) - 1
                self.row[2, span] = np.arange(offset, offset + n)
                self.filled, offset = self.filled + n, offset + n
            yield from self._close_if_full()

    def finish(self) -> Iterator[PackedBatch]:
        """The rest: the unfinished row, padded, in a batch that may hold fewer contexts."""
        if self.row is not None and (self.row[1] >= 0).any():
            self.rows.append(self.row)
        if self.rows:
            yield self._batch()

    def _open(self) -> None:
        self.row = np.full((3, self.context_tokens), -1, dtype=np.int64)
        self.row[0] = self.separator if self.separator is not None else 0
        self.filled = 0 if self.bos is None else 1

    def _close_if_full(self) -> Iterator[PackedBatch]:
        if self.row is not None and self.filled == self.context_tokens:
            self.rows.append(self.row)
            self.row = None
            if len(self.rows) == self.batch_contexts:
                yield self._batch()

    def _batch(self) -> PackedBatch:
        stacked = torch.from_numpy(np.stack(self.rows, axis=1))
        batch = PackedBatch(stacked[0], stacked[1], stacked[2], tuple(self.documents), self.role)
        self.rows, self.documents = [], []
        return batch
