"""Files that are either whole or not there.

Takes a path and bytes; writes under a temporary name, syncs, and moves into place. Knows nothing of the content.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sae_core.errors import DictionaryWriteError

__all__ = ["replace_file"]


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one move.

    Raises DictionaryWriteError when it cannot be written (a full disk); the old file stays then.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        reason = error.strerror or error
        raise DictionaryWriteError(
            f"{path} cannot be written ({reason}); free space or choose another folder"
        ) from error
