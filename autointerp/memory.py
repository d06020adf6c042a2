"""Giving memory back between stages: what one stage freed must not count against the next."""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["release_memory"]


def release_memory() -> None:
    """Collect garbage and hand freed heap pages back to the system where the C library can (glibc).

    Training frees many arrays of changing size and glibc keeps their pages, several hundred megabytes of them.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
