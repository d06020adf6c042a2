"""Tensors in one safetensors file, with failures to write turned into those of any other file.

Takes named tensors on any device and a path. Knows nothing of what the tensors are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["write_tensors"]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors straight to `path`. Raises OSError where the disk is full or the folder cannot be written to."""
    # A file's tensors must not share memory, which tied weights and views do.
    ready: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().to("cpu").contiguous()
        is_shared = plain.untyped_storage().data_ptr() in seen
        ready[name] = plain.clone() if is_shared else plain
        seen.add(ready[name].untyped_storage().data_ptr())
    try:
        save_file(ready, path, metadata=None if metadata is None else dict(metadata))
    except SafetensorError as error:
        raise OSError(str(error)) from error
