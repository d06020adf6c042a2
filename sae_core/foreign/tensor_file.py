"""Checked tensors of one file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from sae_core.errors import DictionaryFormatError

__all__ = ["TensorFile"]

MOST_REPEATED_BYTES = 1 << 24
"""Largest tensor that may repeat stored values, as a threshold common to all features does."""


class TensorFile:
    """Tensors read from `path`, each taken by name and shape; `sizes_from` names the source of the shapes."""

    def __init__(self, path: Path, tensors: Mapping[str, object], *, sizes_from: str) -> None:
        self.path = path
        self.sizes_from = sizes_from
        self.tensors = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
        self._others = tensors.keys() - self.tensors.keys()
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def shape(self, name: str, *, n_axes: int) -> tuple[int, ...]:
        """The shape of a tensor. Raises DictionaryFormatError for other than `n_axes` axes, or an empty one."""
        sizes = tuple(self._find(name).shape)
        if len(sizes) != n_axes or min(sizes, default=1) < 1:
            raise DictionaryFormatError(f"{self.path}: {name} has shape {sizes}, must have {n_axes} axes, none empty")
        return sizes

    def take(self, name: str, *shape: int) -> Tensor:
        """The tensor in float32 on the CPU. Raises DictionaryFormatError."""
        return self.take_as(name, torch.float32, *shape)

    def take_as(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """The tensor as `dtype` on the CPU. Raises DictionaryFormatError if missing, misshapen or not finite."""
        tensor = self._find(name)
        held = tuple(tensor.shape)
        if held != shape:
            is_turned = len(shape) == 2 and held == shape[::-1]
            hint = "; it looks transposed: turn it over" if is_turned else "; the two files do not belong together"
            raise DictionaryFormatError(
                f"{self.path}: {name} has shape {held}, {self.sizes_from} asks for {shape}{hint}"
            )
        if not _is_finite(tensor):
            raise DictionaryFormatError(
                f"{self.path}: {name} holds values that are not finite; train or download it again"
            )
        self._taken.add(name)
        return tensor.detach().to("cpu", dtype)

    def ignore(self, names: Iterable[str]) -> None:
        """Count entries without effect on codes as taken."""
        self._taken.update(names)

    def finish(self, what: str) -> None:
        """Raise DictionaryFormatError for an entry not taken: it may change what the dictionary computes."""
        left = sorted(str(name) for name in (self.tensors.keys() | self._others) - self._taken)
        if left:
            noun = "tensor" if left[0] in self.tensors else "entry"
            raise DictionaryFormatError(
                f"{self.path}: {noun} {left[0]} does not belong to {what}; check the configuration beside it, or "
                f"remove the {noun} if it is no part of the dictionary"
            )

    def _find(self, name: str) -> Tensor:
        if name not in self.tensors:
            names = ", ".join(sorted(self.tensors)) or "none"
            raise DictionaryFormatError(
                f"{self.path}: tensor {name} is missing (found: {names}); save or download the dictionary again"
            )
        tensor = self.tensors[name]
        if unusable := _unusable(tensor):
            raise DictionaryFormatError(
                f"{self.path}: {name} is {unusable}; save plain tensors of real numbers (tensor.to_dense().clone())"
            )
        return tensor


def _unusable(tensor: Tensor) -> str | None:
    """Why a tensor holds no plain values of its own; None if it does."""
    for trait in ("is_nested", "is_quantized", "is_meta"):
        if getattr(tensor, trait):
            return trait.removeprefix("is_")
    if tensor.layout is not torch.strided:
        return "sparse"
    if tensor.is_complex():
        return "complex"
    # one value that is shown many times: a file of a few bytes would fill the memory
    held = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > max(held, MOST_REPEATED_BYTES):
        return f"one of {tensor.numel():,} values of which the file holds {held:,} bytes"
    return None


def _is_finite(tensor: Tensor) -> bool:
    # A finite sum has finite terms, and needs no mask in memory.
    return bool(tensor.sum(dtype=torch.float64).isfinite()) or bool(tensor.isfinite().all())
