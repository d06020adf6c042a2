"""Writing activations to a store, file by file, the index last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sae_core.activations.buffer import PositionedChunks
from sae_core.activations.store import (
    INDEX_FILE,
    STORE_SCHEMA,
    TENSOR,
    ActivationStore,
    StoreDtype,
    file_of,
    mark_of,
    open_store,
)
from sae_core.atomic import replace_file, write_file
from sae_core.errors import ActivationStoreError, TrainingDataError, WidthMismatchError
from sae_core.tensor_file import write_tensors
from sae_core.turns import Steps, done

__all__ = ["write_store", "writing_steps"]


def write_store(
    chunks: Iterable[Float[Tensor, "_ _"]],
    directory: Path | str,
    *,
    dtype: StoreDtype = "bfloat16",
    rows_per_file: int = 262_144,
    facts: Mapping[str, Any] | None = None,
) -> ActivationStore:
    """Write chunks as they come and open the store; at most one file's rows are in memory.

    An equal finished store is opened instead; whole files of an interrupted writing are kept. Raises
    ActivationStoreError for a store of other facts or layout, TrainingDataError without rows, WidthMismatchError for
    chunks of different widths, DictionaryWriteError for a full disk.
    """
    return done(writing_steps(chunks, directory, dtype=dtype, rows_per_file=rows_per_file, facts=facts))


def writing_steps(
    chunks: Iterable[Float[Tensor, "_ _"]],
    directory: Path | str,
    *,
    dtype: StoreDtype = "bfloat16",
    rows_per_file: int = 262_144,
    facts: Mapping[str, Any] | None = None,
) -> Steps[ActivationStore]:
    """As `write_store`, a chunk a step: stores of one source are written in turn (`sae_core.turns`)."""
    if dtype not in get_args(StoreDtype):
        raise ValueError(f"dtype = {dtype!r}: must be one of {get_args(StoreDtype)}")
    if rows_per_file < 1:
        raise ValueError(f"rows_per_file = {rows_per_file}: must be at least 1")
    folder = Path(directory)
    layout = {"dtype": dtype, "rows_per_file": rows_per_file, "facts": json.loads(json.dumps(dict(facts or {})))}
    identity = _identity(layout)
    if (folder / INDEX_FILE).exists():
        store = open_store(folder)
        if store.identity != identity:
            raise ActivationStoreError(
                f"{folder} holds activations of another origin or layout; delete it or choose another folder"
            )
        return store
    n_kept = 0
    while _is_whole(file_of(folder, n_kept), rows_per_file, identity, n_kept):
        n_kept += 1
    d_in, n_rows = yield from _write_files(chunks, folder, n_kept, layout, identity)  # from file n_kept on
    index = {"schema_version": STORE_SCHEMA, "identity": identity, "d_in": d_in, "n_rows": n_rows, **layout}
    replace_file(folder / INDEX_FILE, (json.dumps(index, indent=2, sort_keys=True) + "\n").encode())
    return open_store(folder)


def _write_files(
    chunks: Iterable[Tensor], folder: Path, n_kept: int, layout: Mapping[str, Any], identity: str
) -> Steps[tuple[int, int]]:
    rows_per_file, dtype = layout["rows_per_file"], getattr(torch, layout["dtype"])
    width = _width_of(file_of(folder, n_kept - 1)) if n_kept else None
    held: Tensor | None = None
    number, n_held = n_kept, 0
    for chunk in _from_row(chunks, n_kept * rows_per_file):
        if width is not None and chunk.shape[1] != width:
            raise WidthMismatchError(
                f"a chunk of activations is {chunk.shape[1]} wide, the ones before were {width} wide; "
                "read all activations at one site"
            )
        width = int(chunk.shape[1])
        if held is None:
            held = torch.empty(rows_per_file, width, dtype=dtype)
        start = 0
        while start < chunk.shape[0]:
            n_taken = min(chunk.shape[0] - start, rows_per_file - n_held)
            held[n_held : n_held + n_taken] = chunk[start : start + n_taken].detach().to("cpu", dtype)
            start, n_held = start + n_taken, n_held + n_taken
            if n_held == rows_per_file:
                _write_rows(file_of(folder, number), held, identity, number)
                number, n_held = number + 1, 0
        yield
    if held is not None and n_held:
        _write_rows(file_of(folder, number), held[:n_held], identity, number)
    if width is None or number * rows_per_file + n_held == 0:
        raise TrainingDataError("there are no activations to store; check the corpus and the roles of its documents")
    return width, number * rows_per_file + n_held


def _from_row(chunks: Iterable[Tensor], n_rows: int) -> Iterator[Tensor]:
    if n_rows and isinstance(chunks, PositionedChunks):
        yield from chunks.iter_from(n_rows)
        return
    for chunk in chunks:
        yield chunk[n_rows:]
        n_rows = max(0, n_rows - chunk.shape[0])


def _write_rows(path: Path, rows: Tensor, identity: str, number: int) -> None:
    write_file(path, lambda temporary: write_tensors(temporary, {TENSOR: rows}, metadata=mark_of(identity, number)))


def _identity(layout: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(layout, sort_keys=True).encode(), digest_size=16).hexdigest()


def _width_of(path: Path) -> int:
    with safe_open(path, framework="pt") as file:
        return file.get_slice(TENSOR).get_shape()[1]


def _is_whole(path: Path, n_rows: int, identity: str, number: int) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() == mark_of(identity, number) and file.get_slice(TENSOR).get_shape()[0] == n_rows
    except (OSError, SafetensorError):
        return False
