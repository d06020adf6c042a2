"""Documents of one role packed into contexts of fixed length, with every token's document and offset remembered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from autointerp.errors import InputError
from autointerp.records.document import Document, Role
from autointerp.subject.encoding import Encoded, iter_encoded
from autointerp.subject.tokens import bos_id, separator_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from autointerp.subject.corpus import Corpus

__all__ = ["PackedBatch", "Packing", "count_tokens", "iter_batches", "require_tokens"]

Packing = Literal["concatenate", "document"]

# batches whose contexts are sorted by length together, where each document has its own: little is padded then
N_SORTED = 16


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """A batch of contexts, every one beginning with BOS where the tokenizer has one; padding follows the text."""

    tokens: Int[Tensor, "batch pos"]
    # index into `documents`, -1 for special tokens and padding
    document: Int[Tensor, "batch pos"]
    # position within the document's own tokens, -1 likewise
    offset: Int[Tensor, "batch pos"]
    documents: tuple[str, ...]
    role: Role
    # where ids do not spell the text: each document's bytes, and where in them each token begins and ends
    texts: tuple[bytes, ...] = ()
    spans: Int[Tensor, "2 batch pos"] | None = None
    # the offset of each document's last token of text, where it is known
    last_offsets: tuple[int, ...] = ()

    @property
    def is_text(self) -> Bool[Tensor, "batch pos"]:
        """Where a token of a document stands: everything that is counted, shown or trained on."""
        return self.document >= 0

    @property
    def n_tokens(self) -> int:
        return int(torch.count_nonzero(self.document >= 0))

    def without(self, mask: Bool[Tensor, "batch pos"]) -> PackedBatch:
        """The same contexts, with no text where `mask` is on."""
        if not bool((mask & self.is_text).any()):
            return self
        document, offset = (each.masked_fill(mask, -1) for each in (self.document, self.offset))
        return replace(self, document=document, offset=offset)

    def without_first(self, n: int) -> PackedBatch:
        return self.without(self.is_text.cumsum(dim=1) <= n) if n else self


def iter_batches(
    documents: Iterable[Document],
    *,
    tokenizer: PreTrainedTokenizerBase,
    role: Role,
    context_tokens: int,
    batch_contexts: int,
    max_tokens: int | None = None,
    shard: tuple[int, int] = (0, 1),
    packing: Packing = "concatenate",
    skip_first: int = 0,
) -> Iterator[PackedBatch]:
    """Batches of `batch_contexts` contexts of `context_tokens` tokens; the last may hold fewer.

    `concatenate` packs `[BOS] text [BOS] text ...` (else EOS between, else nothing); a long document goes on in the
    next context, its offset kept. `document` gives each document, or piece of one, a context. `max_tokens` counts text
    tokens and is met exactly. Shard (i, n) yields every n-th batch from the i-th on. The first `skip_first` text tokens
    of every context are counted, then read as no text. Raises InputError when there is no text.
    """
    index, n_shards = shard
    if not 0 <= index < n_shards:
        raise ValueError(f"shard = {shard}: need 0 <= index < count")
    if context_tokens < 2:
        raise ValueError(f"context_tokens = {context_tokens}: a context holds BOS and at least one token")
    packer = _Packer(separator_id(tokenizer), bos_id(tokenizer), context_tokens, batch_contexts, role, packing)
    n_left, n_batches = max_tokens, 0
    for encoded in iter_encoded(documents, tokenizer=tokenizer):
        kept = encoded if n_left is None else encoded.head(n_left)
        for batch in packer.add(kept, last_offset=int(np.flatnonzero(encoded.is_text)[-1])):
            if n_batches % n_shards == index:
                yield batch.without_first(skip_first)
            n_batches += 1
        if n_left is not None:
            n_left -= kept.n_text
            if n_left <= 0:
                break
    if packer.n_tokens == 0:
        raise InputError(f"corpus.path: no text for the role '{role}'; give more documents")
    for batch in packer.finish():
        if n_batches % n_shards == index:
            yield batch.without_first(skip_first)
        n_batches += 1


def count_tokens(corpus: Corpus, *, tokenizer: PreTrainedTokenizerBase, role: Role, up_to: int | None = None) -> int:
    """Text tokens the corpus holds for a role, counted until `up_to` is reached."""
    total = 0
    for encoded in iter_encoded(corpus.iter_documents(role), tokenizer=tokenizer):
        total += encoded.n_text
        if up_to is not None and total >= up_to:
            return up_to
    return total


def require_tokens(
    corpus: Corpus, *, tokenizer: PreTrainedTokenizerBase, roles: dict[Role, int], key: str
) -> dict[Role, int]:
    """The tokens of each role, counted up to the number asked for.

    `key` is the config key that asked. Raises InputError with the counts where a role has too few.
    """
    counts: dict[Role, int] = {
        role: count_tokens(corpus, tokenizer=tokenizer, role=role, up_to=n) for role, n in roles.items()
    }
    if all(counts[role] >= n for role, n in roles.items()):
        return counts
    have = ", ".join(f"{role} {counts[role]:,} of {n:,}" for role, n in roles.items())
    raise InputError(
        f"corpus.path = '{corpus.name}' is too short for {key} = {sum(roles.values())}: it has tokens by role: {have}; "
        f"lower {key} or give more text"
    )


# the lines of a row: a context while it is filled
_TOKEN, _DOCUMENT, _OFFSET, _START, _END = range(5)


@dataclass(slots=True)
class _Packer:
    """The row and the batch being filled."""

    separator: int | None
    bos: int | None
    context_tokens: int
    batch_contexts: int
    role: Role
    packing: Packing
    n_tokens: int = 0
    rows: list[np.ndarray] = field(default_factory=list)
    # of each row, padding left out
    lengths: list[int] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    texts: list[bytes | None] = field(default_factory=list)
    last_offsets: list[int] = field(default_factory=list)
    row: np.ndarray | None = None
    filled: int = 0

    def add(self, encoded: Encoded, *, last_offset: int) -> Iterator[PackedBatch]:
        """Place a document's tokens, perhaps not to its end; yields each batch that becomes full."""
        offset, n_tokens = 0, len(encoded.ids)
        if self.row is not None and self.filled and self.separator is not None:
            self.row[_TOKEN, self.filled] = self.separator
            self.filled += 1
            yield from self._close_if_full()
        self.n_tokens += encoded.n_text
        while offset < n_tokens:
            if self.row is None:
                self._open()
            n = min(n_tokens - offset, self.context_tokens - self.filled)
            if n:
                self._place(encoded, offset, n, last_offset)
                offset += n
            yield from self._close_if_full(is_last=offset == n_tokens and self.packing == "document")

    def finish(self) -> Iterator[PackedBatch]:
        """The unfinished row, padded, in a batch that may hold fewer contexts."""
        if self.row is not None and (self.row[_DOCUMENT] >= 0).any():
            self.rows.append(self.row)
            self.lengths.append(self.context_tokens)
        yield from self._batches()

    def _open(self) -> None:
        self.row = np.full((5, self.context_tokens), -1, dtype=np.int64)
        self.row[_TOKEN] = self.separator if self.separator is not None else 0
        self.filled = 0 if self.bos is None else 1

    def _place(self, encoded: Encoded, offset: int, n: int, last_offset: int) -> None:
        assert self.row is not None
        if not self.documents or self.documents[-1] != encoded.document:
            self.documents.append(encoded.document)
            self.texts.append(encoded.text)
            self.last_offsets.append(last_offset)
        part = encoded.part(offset, offset + n)
        row = self.row[:, self.filled : self.filled + n]
        row[_TOKEN] = part.ids
        row[_DOCUMENT] = np.where(part.is_text, len(self.documents) - 1, -1)
        row[_OFFSET] = np.where(part.is_text, np.arange(offset, offset + n), -1)
        if part.spans is not None:
            row[_START:] = part.spans
        self.filled += n

    def _close_if_full(self, *, is_last: bool = False) -> Iterator[PackedBatch]:
        if self.row is not None and (is_last or self.filled == self.context_tokens):
            self.rows.append(self.row)
            self.lengths.append(self.filled)
            self.row = None
            n_together = N_SORTED if self.packing == "document" else 1
            if len(self.rows) == n_together * self.batch_contexts:
                yield from self._batches()

    def _batches(self) -> Iterator[PackedBatch]:
        """The rows as batches of like lengths, in reading order within each."""
        order = np.argsort(self.lengths, kind="stable")
        for start in range(0, len(order), self.batch_contexts):
            yield self._batch(np.sort(order[start : start + self.batch_contexts]))
        self.rows, self.lengths, self.documents, self.texts, self.last_offsets = [], [], [], [], []

    def _batch(self, chosen: np.ndarray) -> PackedBatch:
        longest = max(self.lengths[i] for i in chosen)
        lines = np.stack([self.rows[i] for i in chosen], axis=1)[:, :, :longest]
        is_text = lines[_DOCUMENT] >= 0
        own, place = np.unique(lines[_DOCUMENT][is_text], return_inverse=True)
        lines[_DOCUMENT][is_text] = place
        stacked = torch.from_numpy(lines)
        texts = tuple(text for i in own if (text := self.texts[i]) is not None)
        spans = stacked[_START:] if texts else None
        tokens, document, offset = stacked[:_START]
        documents, last = tuple(self.documents[i] for i in own), tuple(self.last_offsets[i] for i in own)
        return PackedBatch(tokens, document, offset, documents, self.role, texts, spans, last)
