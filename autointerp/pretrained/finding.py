"""The folder behind a model that is given as a fetched name or a GGUF file."""

from __future__ import annotations

from pathlib import Path

from autointerp.pretrained.catalogue import fetched_folder, named_models
from autointerp.pretrained.gguf import unpacked_gguf

__all__ = ["find_pretrained"]


def find_pretrained(name: str) -> Path | None:
    """In HuggingFace layout; None for what is neither.

    Raises InputError for a name that was not fetched yet, and for a file that cannot be read as GGUF.
    """
    if name in named_models():
        return fetched_folder(name)
    path = Path(name).expanduser()
    return unpacked_gguf(path) if path.suffix.lower() == ".gguf" and not path.is_dir() else None
