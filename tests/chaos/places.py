"""Places that cannot be written to: disks that are full, folders that are read-only, by means this machine permits."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

__all__ = ["LimitedFiles", "SmallDisk", "TinyPlace", "read_only"]


class TinyPlace(Protocol):
    """A folder with little room in it; `n_bytes` is how little at first."""

    root: Path
    n_bytes: int

    def __enter__(self) -> TinyPlace: ...

    def __exit__(self, *_: object) -> None: ...

    def resize(self, n_bytes: int) -> None: ...


class LimitedFiles:
    """Files that may not grow beyond a size (RLIMIT_FSIZE): what a quota looks like, and anybody may set it."""

    def __init__(self, root: Path, n_bytes: int) -> None:
        self.root, self.n_bytes = root, n_bytes
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def __enter__(self) -> LimitedFiles:
        self.root.mkdir(exist_ok=True)
        self.resize(self.n_bytes)
        return self

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)

    def resize(self, n_bytes: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, self._before[1]))


class SmallDisk:
    """A file system of its own in memory (tmpfs), where mounting is permitted."""

    def __init__(self, root: Path, n_bytes: int) -> None:
        self.root, self.n_bytes = root, n_bytes

    @classmethod
    def is_permitted(cls, probe: Path) -> bool:
        """Whether such a file system can be made here."""
        try:
            with cls(probe, 2**16):
                return True
        except PermissionError:
            return False

    def __enter__(self) -> SmallDisk:
        self.root.mkdir(exist_ok=True)
        if not _mount("-t", "tmpfs", "-o", f"size={self.n_bytes}", "tmpfs", str(self.root)):
            raise PermissionError("mounting is not permitted here")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self.root)], check=True)

    def resize(self, n_bytes: int) -> None:
        assert _mount("-o", f"remount,size={n_bytes}", str(self.root))


@contextmanager
def read_only(folder: Path) -> Iterator[str]:
    """Let nothing be written below `folder`, by the first means that truly works here; gives its name."""
    for name, close, open_again in _MEANS:
        if not close(folder):
            continue
        try:
            if not _can_write(folder):
                yield name
                return
        finally:
            assert open_again(folder)
    raise AssertionError("nothing on this machine makes a folder read-only")


def _can_write(folder: Path) -> bool:
    probe = folder / "probe"
    try:
        probe.touch()
    except OSError:
        return False
    probe.unlink()
    return True


def _close_modes(folder: Path) -> bool:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return True


def _open_modes(folder: Path) -> bool:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return True


def _bind(folder: Path) -> bool:
    if not _mount("--bind", str(folder), str(folder)):
        return False
    return _mount("-o", "remount,bind,ro", str(folder)) or not _done("umount", str(folder))


def _mount(*words: str) -> bool:
    return _done("mount", *words)


def _done(*words: str) -> bool:
    """Whether a command is there, may be run and succeeds."""
    if os.geteuid() != 0 or shutil.which(words[0]) is None:
        return False
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


_MEANS = (
    ("modes", _close_modes, _open_modes),  # enough for everybody but root
    ("bind mount", _bind, lambda folder: _done("umount", str(folder))),
    ("immutable", lambda f: _done("chattr", "-R", "+i", str(f)), lambda f: _done("chattr", "-R", "-i", str(f))),
)
