"""The distribution that this package comes in: its name, its version, and how an extra of it is installed.

It is not called like the package, because another project has that name on the package index. It is not published
there, so it is installed from a checkout.
"""

from __future__ import annotations

from importlib import metadata

__all__ = ["DISTRIBUTION", "how_to_install", "installed_version"]

DISTRIBUTION = "autointerp-bench"


def installed_version() -> str | None:
    """The version that is installed; None in a checkout that was never installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None


def how_to_install(extra: str) -> str:
    """The command that brings the packages of an extra (`models`, `vllm`, `wandb`)."""
    return f"pip install '.[{extra}]' in a checkout of autointerp"
