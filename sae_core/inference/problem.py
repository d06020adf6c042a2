"""Input checks, exact products and row chunks, shared by the inference methods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from sae_core.device import fast_matmul
from sae_core.errors import WidthMismatchError

__all__ = ["check_problem", "exact_matmul", "row_chunks"]

VALUES_PER_CHUNK = {"cpu": 2**22, "cuda": 2**28}
"""Most values of a chunk's largest temporary: 16 MB of float32 on a CPU, 1 GB on a GPU."""


def check_problem(x: Tensor, directions: Tensor) -> None:
    """Raise WidthMismatchError for different widths, ValueError for different dtypes."""
    if x.shape[-1] != directions.shape[-1]:
        raise WidthMismatchError(
            f"activations are {x.shape[-1]} wide, but the directions are {directions.shape[-1]} wide; "
            "use a dictionary trained at this site of this subject"
        )
    if x.dtype != directions.dtype:
        raise ValueError(f"x is {x.dtype} but directions are {directions.dtype}: convert one to the other's type")


def row_chunks(n_rows: int, *, values_per_row: int, device: torch.device) -> list[slice]:
    """Slices of `n_rows` that bound the largest temporary, `values_per_row` per row."""
    limit = VALUES_PER_CHUNK.get(device.type, VALUES_PER_CHUNK["cpu"])
    size = max(32, limit // max(1, values_per_row))
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


@contextmanager
def exact_matmul(device: torch.device) -> Iterator[None]:
    """Within the block, products have full float32 accuracy."""
    if device.type == "cpu":
        with fast_matmul(device):
            yield
        return
    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # TF32 would pick other features where two are nearly as good
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(previous)
