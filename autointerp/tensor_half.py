"""The one-line error for a command whose packages are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from autointerp.errors import ConfigError

__all__ = ["needs_tensor_half"]


@contextmanager
def needs_tensor_half(command: str) -> Iterator[None]:
    """Turn a missing package of the extra `models` into a ConfigError that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in {"autointerp", "sae_core"}:
            raise
        raise ConfigError(
            f"{command} needs the package '{error.name}'; install the tensor half: pip install 'autointerp[models]'"
        ) from None
