"""The distribution that this package comes in: its name, its version, and how an extra is installed."""

from __future__ import annotations

from importlib import metadata

__all__ = ["DISTRIBUTION", "how_to_install", "installed_version"]

# another project has the package's name on the package index
DISTRIBUTION = "autointerp-bench"


def installed_version() -> str | None:
    """None in a checkout that was never installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None


def how_to_install(extra: str) -> str:
    return f"pip install '.[{extra}]' in a checkout of autointerp"
