"""Activations on disk, read back in shuffled blocks.

A store is a folder of safetensors files, memory-mapped when read; `index.json` is written last and marks it as whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sae_core.activations.buffer import PositionedChunks, ShuffleBuffer
from sae_core.errors import ActivationStoreError, WidthMismatchError
from sae_core.json_file import load_json

__all__ = [
    "INDEX_FILE",
    "STORE_SCHEMA",
    "TENSOR",
    "ActivationStore",
    "StoreDtype",
    "StoredBlocks",
    "file_of",
    "mark_of",
    "open_store",
]

StoreDtype = Literal["bfloat16", "float32"]
INDEX_FILE = "index.json"
STORE_SCHEMA = 1
TENSOR = "activations"
BLOCK_ROWS = 256
"""Neighbouring rows read together: few enough to mix well, enough for one disk access."""

MIN_BLOCKS_IN_POOL = 64
"""Least number of blocks that fill a pool."""

MAX_OPEN_FILES = 32


@dataclass(frozen=True)
class ActivationStore:
    """An open store: `n_rows` activations of width `d_in` in files of `rows_per_file` rows."""

    directory: Path
    d_in: int
    n_rows: int
    rows_per_file: int
    dtype: torch.dtype
    facts: dict[str, Any]  # origin of the activations, as the writer stated it
    identity: str  # hash of facts and layout, repeated in every file

    @property
    def n_files(self) -> int:
        return -(-self.n_rows // self.rows_per_file)

    def rows_in(self, number: int) -> int:
        return min(self.rows_per_file, self.n_rows - number * self.rows_per_file)

    def blocks(
        self,
        *,
        seed: int,
        n_epochs: int | None = 1,
        block_rows: int = BLOCK_ROWS,
        shard: tuple[int, int] = (0, 1),
        device: str | torch.device = "cpu",
    ) -> StoredBlocks:
        """All rows in blocks, reordered from `seed` in each epoch; n_epochs None never ends.

        shard (i, n): every n-th block from the i-th on.
        """
        return StoredBlocks(
            self, seed=seed, n_epochs=n_epochs, block_rows=block_rows, shard=shard, device=torch.device(device)
        )

    def batches(
        self,
        *,
        batch_tokens: int,
        capacity_tokens: int,
        seed: int,
        n_epochs: int | None = 1,
        shard: tuple[int, int] = (0, 1),
        device: str | torch.device = "cpu",
    ) -> ShuffleBuffer:
        """Shuffled float32 batches: blocks from the whole store, mixed in a pool of `capacity_tokens` rows."""
        block_rows = max(1, min(BLOCK_ROWS, max(capacity_tokens, 2 * batch_tokens) // MIN_BLOCKS_IN_POOL))
        blocks = self.blocks(seed=seed, n_epochs=n_epochs, block_rows=block_rows, shard=shard, device=device)
        return ShuffleBuffer(
            blocks, batch_tokens=batch_tokens, capacity_tokens=capacity_tokens, seed=seed, dtype=self.dtype
        )


class StoredBlocks(PositionedChunks):
    """The blocks of a store in drawn order; can start at any row, any number of times."""

    def __init__(
        self,
        store: ActivationStore,
        *,
        seed: int,
        n_epochs: int | None,
        block_rows: int,
        shard: tuple[int, int],
        device: torch.device,
    ) -> None:
        index, n_shards = shard
        if not 0 <= index < n_shards:
            raise ValueError(f"shard = {shard}: need 0 <= index < count")
        self.store = store
        self.seed = seed
        self.n_epochs = n_epochs
        self.block_rows = min(block_rows, store.rows_per_file)
        self.shard = shard
        self.device = device
        self._open: dict[int, Any] = {}

    def __iter__(self) -> Iterator[Float[Tensor, "_ d_in"]]:
        return self.iter_from(0)

    def iter_from(self, n_rows: int) -> Iterator[Float[Tensor, "_ d_in"]]:
        """The blocks after the first `n_rows` rows, which are not read."""
        epoch = 0
        while self.n_epochs is None or epoch < self.n_epochs:
            starts, stops = self._order(epoch)
            if starts.size == 0:
                return
            ends = np.cumsum(stops - starts)
            if n_rows >= ends[-1]:
                n_rows -= int(ends[-1])
            else:
                first = int(np.searchsorted(ends, n_rows, side="right"))
                n_skipped = n_rows - (int(ends[first - 1]) if first else 0)
                for start, stop in zip(starts[first:].tolist(), stops[first:].tolist(), strict=True):
                    yield self._read(start + n_skipped, stop)
                    n_skipped = 0
                n_rows = 0
            epoch += 1

    def _order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """First and end row of this shard's blocks, in drawn order."""
        per_file = -(-self.store.rows_per_file // self.block_rows)
        numbers = np.arange(self.store.n_files * per_file)
        files, places = numbers // per_file, numbers % per_file
        starts = files * self.store.rows_per_file + places * self.block_rows
        file_ends = np.minimum((files + 1) * self.store.rows_per_file, self.store.n_rows)
        stops = np.minimum(starts + self.block_rows, file_ends)
        is_block = starts < stops
        order = np.random.default_rng([self.seed % 2**63, epoch]).permutation(int(is_block.sum()))
        index, n_shards = self.shard
        chosen = order[index::n_shards]
        return starts[is_block][chosen], stops[is_block][chosen]

    def _read(self, start: int, stop: int) -> Float[Tensor, "_ d_in"]:
        number, offset = divmod(start, self.store.rows_per_file)
        if number not in self._open:
            while len(self._open) >= MAX_OPEN_FILES:
                del self._open[next(iter(self._open))]
            self._open[number] = safe_open(file_of(self.store.directory, number), framework="pt").get_slice(TENSOR)
        block = self._open[number][offset : offset + stop - start]
        return block.to(self.device)


def open_store(directory: Path | str, *, d_in: int | None = None) -> ActivationStore:
    """Open the store in `directory` and check every file's header.

    Raises ActivationStoreError for anything missing, damaged or foreign, WidthMismatchError for a width other than
    `d_in`.
    """
    folder = Path(directory)
    path = folder / INDEX_FILE
    again = f"delete {folder} and write it again"
    try:
        index = load_json(path)
        version = index["schema_version"]
    except FileNotFoundError as error:
        raise ActivationStoreError(
            f"{path} is missing, so {folder} is no finished store of activations; write it to its end"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ActivationStoreError(f"{path} is damaged ({error}); {again}") from error
    if version != STORE_SCHEMA:
        raise ActivationStoreError(f"{path} has schema version {version}, this sae_core reads {STORE_SCHEMA}; {again}")
    try:
        store = ActivationStore(
            directory=folder,
            d_in=index["d_in"],
            n_rows=index["n_rows"],
            rows_per_file=index["rows_per_file"],
            dtype=getattr(torch, index["dtype"]),
            facts=index["facts"],
            identity=index["identity"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ActivationStoreError(f"{path} is damaged ({error}); {again}") from error
    if d_in is not None and d_in != store.d_in:
        raise WidthMismatchError(
            f"{folder} holds activations of width {store.d_in}, but {d_in} is wanted; harvest this site anew"
        )
    for number in range(store.n_files):
        _check_file(store, number, again)
    return store


def file_of(folder: Path, number: int) -> Path:
    return folder / f"activations-{number:06d}.safetensors"


def mark_of(identity: str, number: int) -> dict[str, str]:
    # One key: safetensors writes several in an order that changes, and equal stores shall have equal bytes.
    return {"store": f"{identity} {number}"}


def _check_file(store: ActivationStore, number: int, again: str) -> None:
    path = file_of(store.directory, number)
    try:
        with safe_open(path, framework="pt") as file:
            mark, rows = file.metadata(), file.get_slice(TENSOR)
            shape, kind = rows.get_shape(), rows.get_dtype()
    except FileNotFoundError as error:
        raise ActivationStoreError(f"{path} is missing from the store of {store.n_files} files; {again}") from error
    except (OSError, SafetensorError) as error:
        raise ActivationStoreError(f"{path} is truncated or damaged ({error}); {again}") from error
    if mark != mark_of(store.identity, number):
        raise ActivationStoreError(f"{path} belongs to another store or place; {again}")
    wanted = ([store.rows_in(number), store.d_in], {torch.bfloat16: "BF16", torch.float32: "F32"}[store.dtype])
    if (list(shape), kind) != wanted:
        raise ActivationStoreError(
            f"{path} holds {kind} {list(shape)}, the index says {wanted[1]} {wanted[0]}; {again}"
        )
