"""Runs by address: where a command is given protocol://..., it works in the folder that these functions name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

from autointerp.errors import ArtefactError, AutointerpError
from autointerp.runs.keeping import kept
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock, is_locked
from autointerp.runs.shards import Shard
from autointerp.runs.working_copy import LEASE, WorkingCopy, is_address

__all__ = ["address_of", "open_out", "open_part", "open_run", "put_back", "reach_of", "shards_brought", "writing"]


def open_run(place: str | Path) -> Path:
    """The folder of a run, or of several: `place` itself, or what is below an address, brought here.

    Raises ArtefactError where there is nothing, or it cannot be reached, ConfigError for a missing package.
    """
    return _open(place, must_exist=True)


def open_out(place: str | Path) -> Path:
    """As `open_run`, where the run may be still to be made."""
    return _open(place)


def open_part(place: str | Path, shard: Shard, *, is_led: bool = True) -> Path:
    """As `open_run`, a folder of its own for a worker on any machine; what it writes below its shard's is put back."""
    return _open(place, scope=f"shards/{shard.folder}", is_led=is_led)


def address_of(root: Path, *, is_elsewhere: bool = True) -> str | Path:
    """What names a run to its workers: the address of a working copy if they may be elsewhere, else the folder."""
    copy = WorkingCopy.in_home(root.resolve().parent) if is_elsewhere else None
    return root.resolve() if copy is None else copy.url


def writing(root: Path) -> AbstractContextManager[object]:
    """For what is written in a run without its lock: in the working copy of an address, its lock and lease."""
    return nullcontext() if WorkingCopy.in_home(root.parent) is None else RunLock(RunLayout(root).lock)


def reach_of(root: Path) -> Callable[[], bool] | None:
    """For a worker to call: whether it reaches the address whose working copy `root` is; None for another folder."""
    address = address_of(root)
    return None if isinstance(address, Path) else partial(_is_reached, address)


def _is_reached(address: str) -> bool:
    copy = WorkingCopy.at(address)
    with suppress(AutointerpError), copy.telling():
        copy.read_object(LEASE)
        return True
    return False


def put_back(root: Path) -> None:
    """Put what is done so far, where `root` is the working copy of an address; its lock is held."""
    copy = kept(root)
    if copy is not None:
        copy.put()


@contextmanager
def shards_brought(root: Path) -> Iterator[None]:
    """For merging shards, also of workers elsewhere: where `root` is the working copy of an address, its lock held,
    what they put is fetched, and nothing travels meanwhile.
    """
    copy = kept(root)
    with nullcontext() if copy is None else copy.mutex:
        if copy is not None:
            copy.fetch()
        yield


def _open(place: str | Path, *, must_exist: bool = False, scope: str = "", is_led: bool = False) -> Path:
    if not is_address(place):
        return Path(place)
    copy = WorkingCopy.at(str(place), scope=scope, is_led=is_led)
    with copy.alone():
        # whoever writes it on this machine is ahead of what is there
        is_there = is_locked(RunLayout(copy.root).lock) or copy.fetch()
    if must_exist and not is_there:
        raise ArtefactError(f"{copy.url} is no run: nothing is there; give an address that was given to --out")
    return copy.root
