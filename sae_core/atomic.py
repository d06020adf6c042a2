"""Files and folders that are either whole or absent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sae_core.errors import DictionaryWriteError

__all__ = ["move_into_place", "naming_the_path", "replace_file", "sync_to_disk", "write_file"]


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one move. Raises as `write_file`."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_file(path, write)


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, sync it and move it into place.

    Raises DictionaryWriteError on failure (a full disk); the old file stays.
    """
    temporary = path.with_name(path.name + ".tmp")
    with naming_the_path(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            move_into_place(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise


def move_into_place(temporary: Path, path: Path) -> None:
    """Sync a file or a flat folder and rename it to `path`, which must not be a folder with files."""
    if temporary.is_dir():
        for file in temporary.iterdir():
            sync_to_disk(file)
    sync_to_disk(temporary)
    temporary.replace(path)
    sync_to_disk(path.parent)


def sync_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def naming_the_path(path: Path) -> Iterator[None]:
    """Turn an OSError in the block into a DictionaryWriteError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DictionaryWriteError(
            f"{path} cannot be written ({reason}); free space or choose another folder"
        ) from error
