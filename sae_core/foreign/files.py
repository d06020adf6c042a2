"""Files of dictionaries, read so that nothing in them can run: JSON, safetensors, torch archives, npz.

Takes a path, gives plain values and tensors, or one line that names the path and the fix. Knows nothing of what the
tensors mean.
"""

from __future__ import annotations

import json
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

__all__ = ["read_json", "read_npz", "read_safetensors", "read_torch"]

AGAIN = "save or download the dictionary again"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises DictionaryFormatError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DictionaryFormatError(
            f"{path}: cannot be read ({error.strerror}); give the directory of a saved dictionary"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DictionaryFormatError(f"{path}: not valid JSON ({_line(error)}); {AGAIN}") from error
    if not isinstance(found, dict):
        raise DictionaryFormatError(f"{path}: holds no object; {AGAIN}")
    return found


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, as they are stored. Raises DictionaryFormatError."""
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
    """The arrays of an npz file as tensors; pickled objects are refused. Raises DictionaryFormatError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: torch.from_numpy(np.ascontiguousarray(archive[name])) for name in archive.files}
    except FileNotFoundError as error:
        raise DictionaryFormatError(f"{path}: missing; give the file of a saved dictionary") from error
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DictionaryFormatError(
            f"{path}: not a whole npz file of plain arrays ({_line(error)}); {AGAIN}"
        ) from error


def _line(error: Exception) -> str:
    """The first line of what a library says, without its own full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:160]
