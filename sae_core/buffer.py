"""Activations shuffled across documents, in bounded memory.

Takes an iterable of activation chunks in document order, gives batches of exactly `batch_tokens` rows in an order that
depends on the seed only. Knows nothing of where chunks come from or who trains on the batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sae_core.errors import TrainingDataError, WidthMismatchError

__all__ = ["ShuffleBuffer"]


class ShuffleBuffer:
    """A pool of `capacity_tokens` activations; each batch is drawn at random and its slots refilled from the stream.

    Only the drawn rows move, never the whole pool. Every row of the stream is given out at most once; rows that do not
    fill a last batch are left out and counted in `n_left_out`. The pool is kept on the chunks' device in `dtype`.
    Iterating raises TrainingDataError when the stream holds fewer rows than one batch, WidthMismatchError when the
    chunks differ in width. It can be iterated once per pass over `chunks`, and anew when `chunks` can be.
    """

    def __init__(
        self,
        chunks: Iterable[Float[Tensor, "_ _"]],
        *,
        batch_tokens: int,
        capacity_tokens: int,
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if batch_tokens < 1:
            raise ValueError(f"batch_tokens = {batch_tokens}: must be at least 1")
        self.chunks = chunks
        self.batch_tokens = batch_tokens
        # A pool below two batches would hardly shuffle at all.
        self.capacity_tokens = max(capacity_tokens, 2 * batch_tokens)
        self.seed = seed
        self.dtype = dtype
        self.n_left_out = 0

    def __iter__(self) -> Iterator[Float[Tensor, "batch d_in"]]:
        draw = np.random.default_rng(self.seed)
        source = _RowSource(self.chunks)
        pool = self._filled_pool(source)
        while True:
            slots = torch.from_numpy(draw.choice(pool.shape[0], self.batch_tokens, replace=False)).to(pool.device)
            yield pool[slots].to(torch.float32)
            n_refilled = source.read_into(pool, slots)
            if n_refilled < self.batch_tokens:
                is_left = torch.ones(pool.shape[0], dtype=torch.bool, device=pool.device)
                is_left[slots[n_refilled:]] = False
                left = is_left.nonzero()[:, 0]
                break
        order = left[torch.from_numpy(draw.permutation(left.numel())).to(left.device)]
        n_full = order.numel() // self.batch_tokens * self.batch_tokens
        for slots in order[:n_full].split(self.batch_tokens) if n_full else ():
            yield pool[slots].to(torch.float32)
        self.n_left_out = order.numel() - n_full

    def _filled_pool(self, source: _RowSource) -> Float[Tensor, "capacity d_in"]:
        """The pool after the first fill; shorter than the capacity when the stream is."""
        first = source.peek()
        if first is None:
            raise TrainingDataError("the corpus gave no activations; check its path and the roles of its documents")
        pool = torch.empty(self.capacity_tokens, first.shape[1], dtype=self.dtype, device=first.device)
        n_rows = source.read_into(pool, torch.arange(self.capacity_tokens, device=first.device))
        if n_rows < self.batch_tokens:
            raise TrainingDataError(
                f"the corpus gave {n_rows} activations, fewer than batch_tokens = {self.batch_tokens}; "
                "lower batch_tokens or give a longer corpus"
            )
        return pool[:n_rows]


class _RowSource:
    """Rows of a stream of chunks, in order, read in any amounts."""

    def __init__(self, chunks: Iterable[Tensor]) -> None:
        self.stream = iter(chunks)
        self.pending: Tensor | None = None
        self.width: int | None = None

    def peek(self) -> Tensor | None:
        """The chunk whose rows come next, or None at the end."""
        while self.pending is None or self.pending.shape[0] == 0:
            chunk = next(self.stream, None)
            if chunk is None:
                return None
            if self.width is not None and chunk.shape[1] != self.width:
                raise WidthMismatchError(
                    f"a chunk of activations is {chunk.shape[1]} wide, the ones before were {self.width} wide; "
                    "read all activations at one site"
                )
            self.width = chunk.shape[1]
            self.pending = chunk.detach()
        return self.pending

    def read_into(self, pool: Tensor, slots: Tensor) -> int:
        """Copy the next rows into `pool` at `slots`, as many as there are; return how many."""
        n_read = 0
        while n_read < slots.numel():
            chunk = self.peek()
            if chunk is None:
                break
            n_taken = min(chunk.shape[0], slots.numel() - n_read)
            pool[slots[n_read : n_read + n_taken]] = chunk[:n_taken].to(pool.dtype)
            self.pending = chunk[n_taken:]
            n_read += n_taken
        return n_read
