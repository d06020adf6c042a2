"""Where the files that ship with the package lie: prompts, recipes and the builtin subject's weights."""

from __future__ import annotations

from pathlib import Path

__all__ = ["resource"]


def resource(relative: str) -> Path:
    """The path of a shipped file or folder, such as `prompts/score/detection.md`. It may not exist."""
    package = Path(__file__).resolve().parent
    # where a wheel carries the folders that stand at the top of a checkout
    root = package / "_data"
    return (root if root.is_dir() else package.parent) / relative
