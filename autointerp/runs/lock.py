"""One writer per run, by kernel locks (flock) that end with the process, even by kill -9.

A file left behind blocks nobody. The folder is locked too, so that deleting the file admits nobody. Readers take no
lock. Without locks on the platform the run proceeds, unlike with the package filelock. Of a run on an object store the
working copy's lock is held, and with it the store's lease.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from autointerp.errors import ArtefactError
from autointerp.runs.keeping import Keeping, keeping_of
from autointerp.runs.layout import write_failure

try:
    import fcntl
except ImportError:  # no such locks on this platform
    fcntl = None

__all__ = ["RunLock", "is_locked"]

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
"""flock's errors for a held lock; others mean locks do not exist here."""
_GLANCE_S = 0.05
"""Time for which `is_locked` may hold a lock."""


class RunLock:
    """Held from `__enter__` to `__exit__`, once per process; `noun` names it in messages.

    Entering raises ArtefactError naming the holder, or for an unwritable folder.
    """

    def __init__(self, path: Path, *, noun: str = "run") -> None:
        self._path, self._noun = path, noun
        self._descriptor: int | None = None
        self._folder: int | None = None
        self._keeping: Keeping | None = None

    def __enter__(self) -> RunLock:
        try:
            self._enter()
            self._keeping = keeping_of(self._path.parent)
            if self._keeping is not None:
                self._keeping.__enter__()
            return self
        except BaseException:
            self._close()
            raise

    def _enter(self) -> None:
        while self._descriptor is None:
            descriptor = self._open()
            try:
                if self._folder is None:
                    self._folder = _open_folder(self._path.parent)
                    self._take(self._folder, descriptor)
                self._take(descriptor, descriptor)
                # its last holder may have deleted the file between our opening and locking it
                is_current = _is_same_file(descriptor, self._path)
            except BaseException:
                os.close(descriptor)
                raise
            if is_current:
                self._descriptor = descriptor
            else:
                os.close(descriptor)
        self._sign(self._descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is None:
            return
        try:
            if self._keeping is not None:
                self._keeping.__exit__(kind, error, trace)
        finally:
            with suppress(OSError):  # while the lock is held: whoever opened the file meanwhile sees that it is gone
                self._path.unlink()
            self._close()

    def _close(self) -> None:
        for descriptor in (self._descriptor, self._folder):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._folder = None

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise write_failure(self._path, error) from None

    def _take(self, descriptor: int | None, named_in: int) -> None:
        """Raises ArtefactError with the holder's name in the lock file."""
        until = time.monotonic() + _GLANCE_S
        while descriptor is not None and _is_held(descriptor, is_taken=True):
            if time.monotonic() > until:
                holder = os.pread(named_in, 200, 0).decode("utf-8", errors="replace").strip()
                raise ArtefactError(
                    f"{self._noun} {self._path.parent} is being written by {holder or 'another process'}; wait until "
                    "it ends, stop it, or choose another --out"
                )
            time.sleep(_GLANCE_S / 10)

    def _sign(self, descriptor: int) -> None:
        with suppress(OSError):  # on a full disk the name is missing, the lock is not
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())


def is_locked(path: Path) -> bool:
    """False where locks do not exist."""
    if fcntl is None:
        return False
    for place in (path, path.parent):
        with suppress(OSError):
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                if _is_held(descriptor):
                    return True
            finally:
                os.close(descriptor)
    return False


def _is_held(descriptor: int, *, is_taken: bool = False) -> bool:
    """Whether another holds the lock; otherwise, with `is_taken`, it is now ours. False where locks do not exist."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if is_taken else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _HELD
    return False


def _open_folder(path: Path) -> int | None:
    """None where folders cannot be opened (Windows)."""
    with suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
