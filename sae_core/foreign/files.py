"""Safe reading of dictionary files: JSON, YAML, safetensors, torch archives, npz; nothing in them can run."""

from __future__ import annotations

import math
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sae_core.errors import DictionaryFormatError
from sae_core.json_file import load_json

__all__ = [
    "read_json",
    "read_npz",
    "read_safetensors",
    "read_torch",
    "read_yaml",
    "require_regular",
    "safetensors_shapes",
    "sum_decoders",
]

AGAIN = "save or download the dictionary again"

MOST_UNPACKED = 20
"""Largest ratio of an archive's unpacked size to its own; weights stay below 2."""

SMALL_BYTES = 1 << 24
"""Unpacked size below which the ratio is not checked."""

ROWS_AT_ONCE = 4096
"""Features whose decoders of all layers are held at once."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises DictionaryFormatError."""
    try:
        content = load_json(path)
    except OSError as error:
        raise DictionaryFormatError(
            f"{path}: cannot be read ({error.strerror}); give the directory of a saved dictionary"
        ) from error
    except ValueError as error:
        raise DictionaryFormatError(f"{path}: not valid JSON ({_line(error)}); {AGAIN}") from error
    if not isinstance(content, dict):
        raise DictionaryFormatError(f"{path}: holds no object; {AGAIN}")
    return content


def read_safetensors(path: Path, *, without: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, but the one named `without`. Raises DictionaryFormatError."""
    with _safetensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys() if name != without}  # noqa: SIM118


def safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape, without reading the values. Raises DictionaryFormatError."""
    with _safetensors(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def sum_decoders(path: Path, name: str, *, first: int = 0) -> Tensor:
    """[n, d] in float32: the tensor `name` [n, layers, d] summed over its layers from `first` on, read in parts.

    Raises DictionaryFormatError.
    """
    with _safetensors(path) as file:
        if name not in file.keys():  # noqa: SIM118
            raise DictionaryFormatError(f"{path}: tensor {name} is missing; {AGAIN}")
        part = file.get_slice(name)
        shape = tuple(part.get_shape())
        if len(shape) != 3 or shape[1] <= first:
            raise DictionaryFormatError(f"{path}: {name} has shape {shape}, must be features x layers x width; {AGAIN}")
        rows = range(0, shape[0], ROWS_AT_ONCE)
        return torch.cat([part[row : row + ROWS_AT_ONCE][:, first:].float().sum(dim=1) for row in rows])


@contextmanager
def _safetensors(path: Path) -> Iterator[Any]:
    require_regular(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        raise DictionaryFormatError(f"{path}: missing; give the directory of a saved dictionary") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise DictionaryFormatError(f"{path}: not a whole safetensors file ({_line(error)}); {AGAIN}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file of plain values. Raises DictionaryFormatError."""
    import yaml

    require_regular(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DictionaryFormatError(f"{path}: not valid YAML ({_line(error)}); {AGAIN}") from error
    if not isinstance(content, dict):
        raise DictionaryFormatError(f"{path}: holds no mapping; {AGAIN}")
    return content


def read_torch(path: Path) -> dict[str, Any]:
    """The dict in a `torch.save` file of tensors, numbers, strings and containers. Raises DictionaryFormatError.

    Anything else is refused unread, since a pickle can run any program.
    """
    require_regular(path)
    _require_no_bomb(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a pickle's version; what is wrong with a file is said below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DictionaryFormatError(f"{path}: missing; give the file of a saved dictionary") from error
    except pickle.UnpicklingError as error:
        raise DictionaryFormatError(
            f"{path}: holds more than tensors, numbers and strings, or is damaged; none of it was run; save the "
            "state dict alone: torch.save(model.state_dict(), path)"
        ) from error
    except (OSError, EOFError, KeyError, ValueError, RuntimeError, AttributeError, TypeError, IndexError) as error:
        raise DictionaryFormatError(f"{path}: not a whole torch file ({_line(error)}); {AGAIN}") from error
    if not isinstance(content, dict):
        raise DictionaryFormatError(f"{path}: holds a {type(content).__name__}, not a state dict; save the state dict")
    return content


def read_npz(path: Path) -> dict[str, Tensor]:
    """The arrays of an npz file as tensors, without pickled objects or headers that overstate. Raises
    DictionaryFormatError."""
    require_regular(path)
    _require_no_bomb(path)
    try:
        _check_headers(path)
        with np.load(path, allow_pickle=False) as archive:
            return {name: torch.from_numpy(np.ascontiguousarray(archive[name])) for name in archive.files}
    except FileNotFoundError as error:
        raise DictionaryFormatError(f"{path}: missing; give the file of a saved dictionary") from error
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DictionaryFormatError(
            f"{path}: not a whole npz file of plain arrays ({_line(error)}); {AGAIN}"
        ) from error


def require_regular(path: Path) -> None:
    """Raise DictionaryFormatError for a pipe or a device, which could block or never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DictionaryFormatError(f"{path}: not a regular file; give the file of a saved dictionary")


def _require_no_bomb(path: Path) -> None:
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile):
        return  # whoever reads it says what is wrong
    size = path.stat().st_size  # weights hardly compress: an archive that unpacks to far more holds something else
    if unpacked > max(MOST_UNPACKED * size, SMALL_BYTES):
        raise DictionaryFormatError(f"{path}: {size:,} bytes that unpack to {unpacked:,}; {AGAIN}")


def _check_headers(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                held = member.file_size - file.tell()
            if math.prod(shape) * dtype.itemsize != held:
                stated = f"{dtype} of shape {shape}"[:160]
                raise ValueError(f"{member.filename} states {stated} and holds {held:,} bytes")


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:160]
