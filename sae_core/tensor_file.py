"""Tensors in one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["write_tensors"]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors from any device to `path`. Raises OSError for a full disk or a read-only folder."""
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
