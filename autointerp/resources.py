"""Where the files that ship with the package lie: prompts, recipes and the builtin subject's weights.

In a checkout they stand at the top level (`prompts/`, `configs/`, `subjects/`); a wheel carries the same
folders under `autointerp/_data/`.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["resource"]


def resource(relative: str) -> Path:
    """The path of a shipped file or folder, such as `prompts/score/detection.md`. It may not exist."""
    package = Path(__file__).resolve().parent
    root = package / "_data"
    return (root if root.is_dir() else package.parent) / relative
