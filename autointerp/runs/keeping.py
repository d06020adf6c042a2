"""The time for which a run on an object store is written: its lease is renewed and what changes is put back.

A lease is an object that names who holds it and when it was last renewed. One that is not renewed for STALE_S is
anyone's. Clocks are compared, and of two that begin in the same second on a store without exclusive puts one is told
only when it renews: then nothing more of it is put.
"""

from __future__ import annotations

import _thread
import json
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from autointerp.errors import ArtefactError, AutointerpError, Interrupted, RunStopped
from autointerp.runs.working_copy import LEASE, WorkingCopy

__all__ = ["Keeping", "keeping_of", "kept"]

PUT_S = 60.0
BEAT_S = 20.0
STALE_S = 120.0
_REST = 10
"""Times as long as a put took nothing more is put."""

_kept: dict[Path, Keeping] = {}


def kept(root: Path) -> WorkingCopy | None:
    """The working copy that this process is writing at `root`."""
    keeping = _kept.get(root)
    return None if keeping is None else keeping.copy


def keeping_of(folder: Path) -> Keeping | None:
    """For whoever locks `folder`: a run's, or a shard's; None where it is not what a working copy puts back."""
    for root in (folder, *folder.parents[1:2]):
        copy = WorkingCopy.in_home(root.parent)
        if copy is not None and root == copy.root and folder == root / copy.scope:
            return Keeping(copy)
    return None


class Keeping:
    """Entering raises ArtefactError where another holds the lease, leaving raises RunStopped where a put fails."""

    def __init__(self, copy: WorkingCopy) -> None:
        self.copy = copy
        self._lease = f"{copy.scope}/{LEASE}".lstrip("/")
        self._is_over = threading.Event()
        self._trouble: AutointerpError | None = None
        jobs = [self._put_on] if copy.is_led else [self._put_on, self._beat_on]
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]

    def __enter__(self) -> Keeping:
        if not self.copy.is_led:
            self._take()
        try:
            with self.copy.alone():
                self.copy.fetch()
        except BaseException:
            with suppress(RunStopped):
                self._give_back()
            raise
        _kept[self.copy.root] = self
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        _kept.pop(self.copy.root, None)
        if self._trouble is not None:
            raise self._trouble from None
        try:
            self.copy.put()
            self._give_back()
        except RunStopped as failed:
            if error is None or isinstance(error, Interrupted):
                raise
            if isinstance(error, AutointerpError):
                raise RunStopped(f"{error}; and {failed}") from None

    def _take(self) -> None:
        """Raises ArtefactError while it is another's."""
        with self.copy.telling():
            if self._read() is None:
                self._write(is_new=True)
            held = self._read()
            if held is not None and held["holder"] != self.copy.holder and time.time() - held["at"] < STALE_S:
                raise ArtefactError(
                    f"run {self.copy.url} is being written by {held['owner']}, last heard of "
                    f"{time.time() - held['at']:.0f} s ago; wait until it ends, stop it, or choose another --out (one "
                    f"that died is given up after {STALE_S:.0f} s)"
                )
            self._write()

    def _read(self) -> dict[str, Any] | None:
        found = self.copy.read_object(self._lease)
        return None if found is None else json.loads(found)

    def _write(self, *, is_new: bool = False) -> None:
        owner = f"process {os.getpid()} on {socket.gethostname()}"
        lease = {"holder": self.copy.holder, "owner": owner, "at": time.time()}
        self.copy.write_object(self._lease, json.dumps(lease).encode(), is_new=is_new)

    def _renew(self) -> None:
        """Raises ArtefactError where another has taken it."""
        with self.copy.telling():
            held = self._read()
            if held is not None and held["holder"] != self.copy.holder:
                raise ArtefactError(
                    f"run {self.copy.url} was taken over by {held['owner']}; nothing more of this process is put there"
                )
            self._write()

    def _give_back(self) -> None:
        if not self.copy.is_led:
            with self.copy.telling():
                self.copy.delete_object(self._lease)

    def _beat_on(self) -> None:
        """Ends the work when the lease is lost, or could not be renewed for so long that another may have it."""
        renewed_at = time.monotonic()
        while not self._is_over.wait(BEAT_S):
            try:
                self._renew()
                renewed_at = time.monotonic()
            except AutointerpError as error:
                if isinstance(error, ArtefactError) or time.monotonic() - renewed_at > STALE_S:
                    self._trouble = error
                    if not self._is_over.is_set():
                        _thread.interrupt_main()
                    return

    def _put_on(self) -> None:
        rest_s = PUT_S
        while not self._is_over.wait(rest_s):
            began_at = time.monotonic()
            with suppress(RunStopped):  # tried again, and told in the end
                self.copy.put()
            rest_s = max(PUT_S, _REST * (time.monotonic() - began_at))
