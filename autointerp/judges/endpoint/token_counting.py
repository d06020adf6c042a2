"""Token counts by the judge's own tokenizer, if it is on this machine."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.distribution import how_to_install
from autointerp.errors import InputError

__all__ = ["TokenCounter", "find_counter", "open_counter"]

_FILE = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class TokenCounter:
    name: str
    count: Callable[[str], int]


def find_counter(model: str) -> TokenCounter | None:
    """Counter for a model, None without its tokenizer."""
    for path in _places(model):
        if path.is_file():
            return _from_file(path, name=model)
    return _from_tiktoken(model)


def open_counter(path: Path) -> TokenCounter:
    """Counter for a tokenizer.json or its directory. Raises InputError when missing or unreadable."""
    file = path / _FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"--tokenizer {path}: there is no {_FILE}; name a tokenizer's directory")
    counter = _from_file(file, name=str(path))
    if counter is None:
        raise InputError(
            f"--tokenizer {path}: it cannot be read; install the package tokenizers, which comes with "
            f"{how_to_install('models')}, or name another"
        )
    return counter


def _places(model: str) -> Iterator[Path]:
    if Path(model).is_dir():
        yield Path(model) / _FILE
        return
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub"))
    # snapshots in the hub's cache
    if "/" in model:
        yield from sorted((hub / f"models--{model.replace('/', '--')}" / "snapshots").glob(f"*/{_FILE}"))


def _from_file(path: Path, *, name: str) -> TokenCounter | None:
    try:
        tokenizers: Any = importlib.import_module("tokenizers")
    except ImportError:
        return None
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception:  # noqa: BLE001  # the package raises bare Exceptions for a file it cannot read
        return None
    return TokenCounter(name, lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids))


def _from_tiktoken(model: str) -> TokenCounter | None:
    try:
        tiktoken: Any = importlib.import_module("tiktoken")
        loading: Any = importlib.import_module("tiktoken.load")
    except ImportError:
        return None
    reader = loading.read_file
    # tiktoken downloads missing vocabularies: replace its reader meanwhile
    loading.read_file = _refuse
    try:
        encoding = tiktoken.encoding_for_model(model)
    except (KeyError, OSError, ValueError):
        return None
    finally:
        loading.read_file = reader
    return TokenCounter(f"{model} (tiktoken)", lambda text: len(encoding.encode(text, disallowed_special=())))


def _refuse(place: str) -> bytes:
    raise OSError(f"{place} is not in tiktoken's cache")
