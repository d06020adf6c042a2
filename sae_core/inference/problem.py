"""What every method of sparse approximation shares: checks of its input, exact products, rows per chunk.

A problem is a batch of signals `x` and a dictionary's `directions`, one unit-norm row per feature. Takes tensors;
knows nothing of methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from sae_core.device import fast_matmul
from sae_core.errors import WidthMismatchError

__all__ = ["check_problem", "exact_matmul", "row_chunks"]

VALUES_PER_CHUNK = {"cpu": 2**22, "cuda": 2**28}
"""Values of the largest temporary that one chunk of rows may need: 16 MB of float32 on a CPU, 1 GB on a GPU."""


def check_problem(x: Tensor, directions: Tensor) -> None:
    """Raises WidthMismatchError where the widths differ, ValueError where the types do."""
    if x.shape[-1] != directions.shape[-1]:
        raise WidthMismatchError(
            f"activations are {x.shape[-1]} wide, but the directions are {directions.shape[-1]} wide; "
            "use a dictionary trained at this site of this subject"
        )
    if x.dtype != directions.dtype:
        raise ValueError(f"x is {x.dtype} but directions are {directions.dtype}: convert one to the other's type")


def row_chunks(n_rows: int, *, values_per_row: int, device: torch.device) -> list[slice]:
    """Slices that cut `n_rows` into chunks whose largest temporary, `values_per_row` a row, stays bounded."""
    limit = VALUES_PER_CHUNK.get(device.type, VALUES_PER_CHUNK["cpu"])
    size = max(32, limit // max(1, values_per_row))
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


@contextmanager
def exact_matmul(device: torch.device) -> Iterator[None]:
    """Within the block, float32 products have float32 accuracy: on a CPU by the fastest such kernel, on a GPU without
    TF32, which would pick other features than the exact method wherever two are nearly as good."""
    if device.type == "cpu":
        with fast_matmul(device):
            yield
        return
    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(previous)
