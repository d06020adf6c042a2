"""The files of a folder, in one order on every machine: none outside it, and none that is no file.

A link may lead out of a corpus that came from somebody else, to what was never meant to be shown to a judge; a pipe
or a device would be read for ever.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from autointerp.errors import InputError

__all__ = ["hash_file", "list_folder", "refuse_special"]


def list_folder(root: Path, *, is_read: Callable[[Path], bool] = lambda relative: True) -> list[Path]:
    """The files below `root` whose paths relative to it are to be read, sorted by the parts of those.

    Folders that are linked to within the corpus are passed over: what they hold is there already. Raises InputError
    for a link that leads out of it, and for what is to be read and is no regular file.
    """
    limit = _limit(root)
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        read = [Path(folder, name) for name in files if is_read(Path(folder, name).relative_to(root))]
        for entry in (*read, *(Path(folder, name) for name in folders if not name.startswith("."))):
            if entry.is_symlink() and not entry.resolve().is_relative_to(limit):
                raise InputError(
                    f"corpus.path: '{entry}' is a link that leads out of the corpus, to '{entry.resolve()}'; put the "
                    "file itself there, or take the link away"
                )
        for entry in read:
            refuse_special(entry)
        found += read
    return sorted(found, key=lambda path: path.relative_to(root).parts)


def refuse_special(path: Path) -> None:
    """Raises InputError for a pipe, a device, a socket, or a link to nothing."""
    if not path.is_file():
        raise InputError(f"corpus.path: '{path}' is no regular file; take it away, or save its text as a file")


def hash_file(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _limit(root: Path) -> Path:
    """The folder that links may lead to: the corpus, or the hub's cache of that one repository, which keeps the files
    of every snapshot in a folder beside them."""
    whole = root.resolve()
    for folder in (whole, *whole.parents):
        if folder.parent.name == "snapshots" and (folder.parent.parent / "blobs").is_dir():
            return folder.parent.parent
    return whole
