"""Files of dictionaries, read so that nothing in them can run: JSON, safetensors, torch archives, npz.

Takes a path, gives plain values and tensors, or one line that names the path and the fix. Knows nothing of what the
tensors mean.
"""

from __future__ import annotations

import math
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sae_core.errors import DictionaryFormatError
from sae_core.json_file import load_json

__all__ = ["read_json", "read_npz", "read_safetensors", "read_torch", "require_regular"]

AGAIN = "save or download the dictionary again"

MOST_UNPACKED = 20
"""Times its own size that an archive of weights may unpack to; float32 noise stays below 2."""

SMALL_BYTES = 1 << 24
"""An archive that unpacks to no more than this may be as packed as it likes: small weights may be all zeros."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises DictionaryFormatError."""
    try:
        found = load_json(path)
    except OSError as error:
        raise DictionaryFormatError(
            f"{path}: cannot be read ({error.strerror}); give the directory of a saved dictionary"
        ) from error
    except ValueError as error:
        raise DictionaryFormatError(f"{path}: not valid JSON ({_line(error)}); {AGAIN}") from error
    if not isinstance(found, dict):
        raise DictionaryFormatError(f"{path}: holds no object; {AGAIN}")
    return found


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, as they are stored. Raises DictionaryFormatError."""
    require_regular(path)
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise DictionaryFormatError(f"{path}: missing; give the directory of a saved dictionary") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise DictionaryFormatError(f"{path}: not a whole safetensors file ({_line(error)}); {AGAIN}") from error


def read_torch(path: Path) -> dict[str, Any]:
    """The dict in a file of `torch.save`: tensors, numbers, strings and containers only.

    Anything else (a pickle can run any program) is refused unread. Raises DictionaryFormatError.
    """
    require_regular(path)
    _require_no_bomb(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a pickle's version; what is wrong with a file is said below
            found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DictionaryFormatError(f"{path}: missing; give the file of a saved dictionary") from error
    except pickle.UnpicklingError as error:
        raise DictionaryFormatError(
            f"{path}: holds more than tensors, numbers and strings, or is damaged; none of it was run; save the "
            "state dict alone: torch.save(model.state_dict(), path)"
        ) from error
    except (OSError, EOFError, KeyError, ValueError, RuntimeError, AttributeError, TypeError, IndexError) as error:
        raise DictionaryFormatError(f"{path}: not a whole torch file ({_line(error)}); {AGAIN}") from error
    if not isinstance(found, dict):
        raise DictionaryFormatError(f"{path}: holds a {type(found).__name__}, not a state dict; save the state dict")
    return found


def read_npz(path: Path) -> dict[str, Tensor]:
    """The arrays of an npz file as tensors; pickled objects are refused, and arrays that state more values than the
    file holds, before they are read. Raises DictionaryFormatError."""
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
    """Raise DictionaryFormatError for a pipe or a device: it would be waited for, or read without end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DictionaryFormatError(f"{path}: not a regular file; give the file of a saved dictionary")


def _require_no_bomb(path: Path) -> None:
    """Weights hardly compress, so an archive that unpacks to many times its size holds something else."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile):
        return  # whoever reads it says what is wrong
    size = path.stat().st_size
    if unpacked > max(MOST_UNPACKED * size, SMALL_BYTES):
        raise DictionaryFormatError(f"{path}: {size:,} bytes that unpack to {unpacked:,}; {AGAIN}")


def _check_headers(path: Path) -> None:
    """Raise ValueError where an array states another size than its member of the archive has."""
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
    """The first line of what a library says, without its own full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:160]
