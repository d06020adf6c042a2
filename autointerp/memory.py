"""A process's memory: how often garbage is looked for, and what is given back between stages."""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["collect_rarely", "release_memory"]

_N_ALLOCATED = 10_000
"""New objects from which on garbage is looked for. Stages make windows by the hundred thousand, and no cycles of them:
Python's own 700 took a third of the time of explaining.
"""


def collect_rarely() -> None:
    """For the process that does the work of a command."""
    gc.set_threshold(_N_ALLOCATED)


def release_memory() -> None:
    """Collect garbage and hand freed heap pages back to the system (glibc)."""
    gc.collect()
    if sys.platform == "linux":
        # training frees many arrays of changing size, and glibc keeps several hundred megabytes of their pages
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
