"""The GPUs of a machine, found without loading torch."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["visible_gpus"]

_DEVICES = Path("/proc/driver/nvidia/gpus")


def visible_gpus() -> list[str]:
    """Those this process may use, as CUDA_VISIBLE_DEVICES names them."""
    stated = os.environ.get("CUDA_VISIBLE_DEVICES")
    if stated is not None:
        return [name.strip() for name in stated.split(",") if name.strip()]
    return [str(number) for number in range(len(list(_DEVICES.iterdir())))] if _DEVICES.is_dir() else []
