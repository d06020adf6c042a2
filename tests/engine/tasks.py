"""Tasks for workers of other processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from autointerp.engine.far_progress import FarProgress
from autointerp.engine.task import Share
from autointerp.errors import LimitReached

__all__ = ["borrow", "die_at_first", "fail", "square", "threads", "wait_to_be_stopped"]


def square(share: Share, number: int) -> tuple[int, int, int]:
    return number**2, share.index, share.n


def threads(share: Share) -> str:
    return os.environ["OMP_NUM_THREADS"]


def die_at_first(share: Share, folder: Path) -> str:
    """Dies by kill -9 where it was not tried before."""
    tried = folder / f"{share.index}"
    if not tried.exists():
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def die(share: Share) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(share: Share, kind: str) -> str:
    if share.index == 0:
        raise {"limit": LimitReached("enough"), "bug": ZeroDivisionError("a bug")}[kind]
    return "done" if kind == "limit" else wait_to_be_stopped(share)


def wait_to_be_stopped(share: Share) -> str:
    with FarProgress(share).bar("waiting", unit="steps") as bar:
        for step in range(1200):
            bar.update(step)
            time.sleep(0.05)
    return "never stopped"


def borrow(share: Share, n_wanted: int) -> int:
    """Borrow requests one at a time as long as there are some; gives the number spent."""
    n_spent = n_room = 0
    while n_spent < n_wanted:
        if n_spent == n_room:
            _, n_lent = share.call("lend", 0.0, 1)
            if not n_lent:
                break
            n_room += int(n_lent)
        n_spent += 1
    share.call("settle", 0.0, n_spent)
    return n_spent
