"""How the tensor half's packages are loaded, and the one-line error where they are missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from autointerp.distribution import how_to_install
from autointerp.errors import ConfigError

__all__ = ["needs_tensor_half", "without_progress_bars"]


@contextmanager
def needs_tensor_half(command: str) -> Iterator[None]:
    """Turns a missing package into a ConfigError that says what to install."""
    # Before torch is loaded: idle threads that spin made training several times slower on a machine with other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in {"autointerp", "sae_core"}:
            raise
        raise ConfigError(
            f"{command} needs the package '{error.name}'; install the tensor half: {how_to_install('models')}"
        ) from None


@contextmanager
def without_progress_bars(transformers: Any) -> Iterator[None]:
    """Within the block transformers shows no progress bars, which would break ours."""
    logging = transformers.utils.logging
    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
