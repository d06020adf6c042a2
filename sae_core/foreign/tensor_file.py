"""The tensors of one file, each taken by name with the shape it must have.

What is missing, of another shape, or not finite is one line with the path and the fix; so is an entry that nobody
asked for, because a part that is not understood may change what the dictionary computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from sae_core.errors import DictionaryFormatError

__all__ = ["TensorFile"]

MOST_REPEATED_BYTES = 1 << 24
"""A tensor that repeats its values may stand for this much: a threshold common to all features is saved that way."""


class TensorFile:
    """Tensors read from `path`; `sizes_from` names where the expected shapes come from."""

    def __init__(self, path: Path, tensors: Mapping[str, object], *, sizes_from: str) -> None:
        self.path = path
        self.sizes_from = sizes_from
        self.tensors = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
        self._others = tensors.keys() - self.tensors.keys()
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def shape(self, name: str, *, n_axes: int) -> tuple[int, ...]:
        """The shape of a tensor that says the sizes of the others. Raises DictionaryFormatError."""
        found = tuple(self._find(name).shape)
        if len(found) != n_axes or min(found, default=1) < 1:
            raise DictionaryFormatError(f"{self.path}: {name} has shape {found}, must have {n_axes} axes, none empty")
        return found

    def take(self, name: str, *shape: int) -> Tensor:
        """The tensor `name` in float32 on the CPU. Raises DictionaryFormatError."""
        return self.take_as(name, torch.float32, *shape)

    def take_as(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """The tensor `name` as `dtype` on the CPU. Raises DictionaryFormatError."""
        tensor = self._find(name)
        found = tuple(tensor.shape)
        if found != shape:
            is_turned = len(shape) == 2 and found == shape[::-1]
            hint = "; it looks transposed: turn it over" if is_turned else "; the two files do not belong together"
            raise DictionaryFormatError(
                f"{self.path}: {name} has shape {found}, {self.sizes_from} asks for {shape}{hint}"
            )
        if not _is_finite(tensor):
            raise DictionaryFormatError(
                f"{self.path}: {name} holds values that are not finite; train or download it again"
            )
        self._taken.add(name)
        return tensor.detach().to("cpu", dtype)

    def ignore(self, names: Iterable[str]) -> None:
        """Entries that do not change what the dictionary computes, or were read otherwise."""
        self._taken.update(names)

    def finish(self, what: str) -> None:
        """Raises DictionaryFormatError when an entry is left over."""
        left = sorted(str(name) for name in (self.tensors.keys() | self._others) - self._taken)
        if left:
            noun = "tensor" if left[0] in self.tensors else "entry"
            raise DictionaryFormatError(
                f"{self.path}: {noun} {left[0]} does not belong to {what}; check the configuration beside it, or "
                f"remove the {noun} if it is no part of the dictionary"
            )

    def _find(self, name: str) -> Tensor:
        if name not in self.tensors:
            found = ", ".join(sorted(self.tensors)) or "none"
            raise DictionaryFormatError(
                f"{self.path}: tensor {name} is missing (found: {found}); save or download the dictionary again"
            )
        tensor = self.tensors[name]
        if unusable := _unusable(tensor):
            raise DictionaryFormatError(
                f"{self.path}: {name} is {unusable}; save plain tensors of real numbers (tensor.to_dense().clone())"
            )
        return tensor


def _unusable(tensor: Tensor) -> str | None:
    """What a tensor is that holds no plain values of its own; None for a usable one."""
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
    """Whether no value is infinite or not a number. A finite sum has no such terms, and takes no memory to find."""
    return bool(tensor.sum(dtype=torch.float64).isfinite()) or bool(tensor.isfinite().all())
