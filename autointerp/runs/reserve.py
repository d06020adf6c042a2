"""Disk space set aside, so that paid results can be written to a full disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from autointerp.errors import ArtefactError

__all__ = ["SpaceReserve"]


class SpaceReserve:
    """`n_bytes` beside `path`, taken once."""

    def __init__(self, path: Path, n_bytes: int) -> None:
        self._path, self._n_bytes = path, n_bytes
        self._is_taken = self._is_over = False

    def take(self) -> None:
        """Raises ArtefactError without enough space."""
        if self._is_taken or self._is_over:
            return
        try:
            with self._path.open("wb") as file:
                _fill(file.fileno(), self._n_bytes)
        except OSError as error:
            self._remove()
            raise ArtefactError(
                f"cannot set {self._n_bytes / 1e6:.0f} MB aside in {self._path}: {error.strerror or error}; nothing is "
                "asked for that could not be written down: free some space and run the same command again"
            ) from None
        self._is_taken = True

    def release(self) -> bool:
        """Free the space for good; whether there was any."""
        was_taken, self._is_taken, self._is_over = self._is_taken, False, True
        if was_taken:
            self._remove()
        return was_taken

    def _remove(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def _fill(descriptor: int, n_bytes: int) -> None:
    # a sparse file would set nothing aside
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, n_bytes)
    else:
        os.write(descriptor, bytes(n_bytes))
