"""The running Python's own standard library as documents: English prose and code, about 10 MB.

One document per source file, with an id such as `stdlib/json/decoder.py`, so that a file's role is the role of
its whole text. Takes nothing but the interpreter it runs under.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from autointerp.errors import InputError
from autointerp.records.document import Document

__all__ = ["iter_stdlib_documents", "stdlib_root"]

LEFT_OUT_FOLDERS = frozenset(
    {"__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests"}
)
# Written by the build or by the machine's owner: their text differs between two equal Pythons and names local paths.
LEFT_OUT_PREFIXES = ("_sysconfigdata", "sitecustomize", "usercustomize")
# The tables of the 8-bit codecs are near-copies of one another: spread over the roles they would be a leak.
CODEC_TABLE_MARK = "gencodec.py"
MIN_CHARACTERS = 200


def stdlib_root() -> Path:
    """The folder the standard library's sources lie in."""
    return Path(os.__file__).resolve().parent


def iter_stdlib_documents(root: Path | None = None) -> Iterator[Document]:
    """The standard library's files in the order of their paths, read as UTF-8 with `\\n` line ends.

    Left out: tests, bundled tools, files written at build time, generated codec tables, files under
    200 characters. Raises InputError where the installation has no sources (a zipped or stripped Python).
    """
    root = stdlib_root() if root is None else root
    found = False
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        relative = path.relative_to(root)
        if not _is_wanted(relative):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        if len(text) < MIN_CHARACTERS or (relative.parts[0] == "encodings" and CODEC_TABLE_MARK in text):
            continue
        found = True
        yield Document(id=f"stdlib/{relative.as_posix()}", source="stdlib", text=text)
    if not found:
        raise InputError(f"no standard-library sources under {root}: use a Python that is installed with its .py files")


def _is_wanted(relative: Path) -> bool:
    if any(part in LEFT_OUT_FOLDERS or part.startswith("config-") for part in relative.parts[:-1]):
        return False
    return not relative.name.startswith(LEFT_OUT_PREFIXES)
