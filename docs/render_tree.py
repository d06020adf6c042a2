"""Render the README's tree: every module with the first sentence of its docstring.

`python docs/render_tree.py` rewrites the block between the markers in README.md; a test checks that it is current.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- tree:begin -->", "<!-- tree:end -->"
PACKAGES = ("sae_core", "autointerp")
WIDTH = 118


def render_tree(root: Path = ROOT) -> str:
    """The tree as a fenced block, one line per module."""
    lines: list[str] = []
    for package in PACKAGES:
        lines += _folder(root / package, depth=0)
    return "\n".join(["```", *lines, "```"])


def _folder(folder: Path, depth: int) -> list[str]:
    lines = [f"{'  ' * depth}{folder.name}/"]
    lines += [_line(file, depth + 1) for file in sorted(folder.glob("*.py")) if file.name != "__init__.py"]
    for child in sorted(path for path in folder.iterdir() if path.is_dir()):
        if any(child.rglob("*.py")) and child.name not in {"__pycache__", "_data"}:
            lines += _folder(child, depth + 1)
    return lines


def _line(file: Path, depth: int) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    first = re.split(r"(?<=\.)\s", " ".join(docstring.split()), maxsplit=1)[0].rstrip(".:;")
    name = f"{'  ' * depth}{file.name}"
    line = f"{name:<30} {first}"
    return line if len(line) <= WIDTH else line[: WIDTH - 3].rsplit(" ", 1)[0] + " ..."


def insert_tree(readme: str, tree: str) -> str:
    """README text with the block between the markers replaced."""
    before, rest = readme.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n{tree}\n{END}{after}"


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(insert_tree(path.read_text(encoding="utf-8"), render_tree()), encoding="utf-8")
