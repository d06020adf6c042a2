"""Activations shuffled across documents, in bounded memory; the order depends on the seed alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.errors import TrainingDataError, TrainingStateError, WidthMismatchError
from sae_core.state import State, require_same

__all__ = ["PositionedChunks", "ShuffleBuffer"]


@runtime_checkable
class PositionedChunks(Protocol):
    """Chunks of activations that can start at any row."""

    def iter_from(self, n_rows: int) -> Iterator[Tensor]:
        """The chunks after the first `n_rows` rows, in the same order on every call."""
        ...


class ShuffleBuffer:
    """A pool of `capacity_tokens` activations: each batch is drawn at random, its slots refilled from the stream.

    Every row is given at most once; rows short of a last batch are counted in `n_left_out`. Iterating starts a new pass
    over `chunks` and raises TrainingDataError for fewer rows than one batch, WidthMismatchError for chunks of different
    widths. After `restore` with the `state` of an equal buffer, the next iteration gives the very next batch.
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
        self._pass: _ShuffledPass | None = None
        self._is_restored = False

    def __iter__(self) -> Iterator[Float[Tensor, "batch d_in"]]:
        if self._pass is None or not self._is_restored:
            self._pass = _ShuffledPass(self)
        self._is_restored = False
        return iter(self._pass)

    def state(self) -> State:
        """Pool, draws and position after the last batch. Raises ValueError before the first."""
        if self._pass is None:
            raise ValueError("the buffer has given no batch yet, so there is nothing to go on from")
        state = self._pass.state()
        return State({"settings": self._settings()} | state.facts, state.tensors)

    def restore(self, state: State) -> None:
        """Continue from `state` in the next iteration. Raises TrainingStateError for a state of other settings."""
        require_same(
            state.facts["settings"],
            self._settings(),
            what="the shuffled stream of an interrupted training",
            fix="Restore the values, or delete the training's state to start anew",
        )
        self._pass = _ShuffledPass(self, state)
        self._is_restored = True

    def _settings(self) -> dict[str, Any]:
        return {
            "batch_tokens": self.batch_tokens,
            "capacity_tokens": self.capacity_tokens,
            "seed": self.seed,
            "dtype": str(self.dtype),
        }

    def _filled_pool(self, source: _RowSource) -> Float[Tensor, "capacity d_in"]:
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


class _ShuffledPass:
    """One pass through the stream."""

    def __init__(self, buffer: ShuffleBuffer, state: State | None = None) -> None:
        self.buffer = buffer
        self.draw = np.random.default_rng(buffer.seed)
        self.pool: Tensor | None = None
        self.drawn: Tensor | None = None  # slots of the last batch, refilled when the next one is asked for
        self.left: Tensor | None = None  # once the stream is dry: the remaining slots in drawn order
        self.n_left_given = 0
        if state is not None:
            self.draw.bit_generator.state = state.facts["draw"]
            self.pool = state.tensors["pool"].clone()
            self.drawn = state.tensors.get("drawn")
            self.left = state.tensors.get("left")
            self.n_left_given = state.facts["n_left_given"]
        self.source = _RowSource(
            buffer.chunks,
            n_read=0 if state is None else state.facts["n_read"],
            width=None if self.pool is None else self.pool.shape[1],
        )

    def __iter__(self) -> Iterator[Float[Tensor, "batch d_in"]]:
        return self

    def __next__(self) -> Float[Tensor, "batch d_in"]:
        size = self.buffer.batch_tokens
        if self.pool is None:
            self.pool = self.buffer._filled_pool(self.source)
        elif self.left is None:
            self._refill()
        if self.left is None:
            slots = torch.from_numpy(self.draw.choice(self.pool.shape[0], size, replace=False))
            self.drawn = slots
        else:
            slots = self.left[self.n_left_given : self.n_left_given + size]
            if slots.numel() < size:
                self.buffer.n_left_out = slots.numel()
                raise StopIteration
            self.n_left_given += size
        return self.pool[slots.to(self.pool.device)].to(torch.float32)

    def _refill(self) -> None:
        assert self.pool is not None and self.drawn is not None
        upcoming = self.source.peek()
        if upcoming is not None:
            self.pool = self.pool.to(upcoming.device)  # a restored pool comes from the disk
        n_refilled = self.source.read_into(self.pool, self.drawn.to(self.pool.device))
        if n_refilled < self.drawn.numel():
            # The stream is dry: give out the remaining slots in a drawn order.
            is_left = torch.ones(self.pool.shape[0], dtype=torch.bool)
            is_left[self.drawn[n_refilled:]] = False
            left = is_left.nonzero()[:, 0]
            self.left = left[torch.from_numpy(self.draw.permutation(left.numel()))]
        self.drawn = None

    def state(self) -> State:
        if self.pool is None:
            raise ValueError("the buffer has given no batch yet, so there is nothing to go on from")
        slots: dict[str, Int[Tensor, " n_slots"] | None] = {"drawn": self.drawn, "left": self.left}
        return State(
            {"draw": self.draw.bit_generator.state, "n_read": self.source.n_read, "n_left_given": self.n_left_given},
            {"pool": self.pool} | {name: tensor for name, tensor in slots.items() if tensor is not None},
        )


class _RowSource:
    """Rows of a stream of chunks in order, from row `n_read` on."""

    def __init__(self, chunks: Iterable[Tensor], *, n_read: int = 0, width: int | None = None) -> None:
        self.n_read = n_read
        self.pending: Tensor | None = None
        self.width = width
        if n_read and isinstance(chunks, PositionedChunks):
            self.stream, self.n_to_skip = chunks.iter_from(n_read), 0
        else:
            self.stream, self.n_to_skip = iter(chunks), n_read

    def peek(self) -> Tensor | None:
        """The chunk with the next rows, or None at the end."""
        while self.pending is None or self.pending.shape[0] == 0:
            chunk = next(self.stream, None)
            if chunk is None:
                if self.n_to_skip:
                    raise TrainingStateError(
                        f"the activations end {self.n_to_skip} rows before the place where the training was "
                        "interrupted; give the corpus it was begun with, or delete the training's state"
                    )
                return None
            if self.width is not None and chunk.shape[1] != self.width:
                raise WidthMismatchError(
                    f"a chunk of activations is {chunk.shape[1]} wide, the ones before were {self.width} wide; "
                    "read all activations at one site"
                )
            self.width = chunk.shape[1]
            n_skipped = min(self.n_to_skip, chunk.shape[0])
            self.n_to_skip -= n_skipped
            self.pending = chunk[n_skipped:].detach()
        return self.pending

    def read_into(self, pool: Tensor, slots: Tensor) -> int:
        """Copy the next rows into `pool` at `slots`; return their number."""
        n_read = 0
        while n_read < slots.numel():
            chunk = self.peek()
            if chunk is None:
                break
            n_taken = min(chunk.shape[0], slots.numel() - n_read)
            pool[slots[n_read : n_read + n_taken]] = chunk[:n_taken].to(device=pool.device, dtype=pool.dtype)
            self.pending = chunk[n_taken:]
            n_read += n_taken
        self.n_read += n_read
        return n_read
