"""Where everything of a run lies: the one module that spells paths, and the one way files are written.

A file is written to a temporary name beside its place and renamed, so a reader never sees half of one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from autointerp.errors import ArtefactError

__all__ = ["RunLayout", "write_atomically", "write_text"]


class RunLayout:
    """The paths of one run below its root directory."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.config = self.root / "config.toml"
        self.manifest = self.root / "manifest.json"
        self.dictionaries = self.root / "dictionaries"
        self.training = self.root / "training"
        self.activations = self.root / "activations"
        self.evidence = self.root / "evidence"
        self.journal = self.root / "journal.sqlite"
        self.scores = self.root / "scores.parquet"
        self.summary = self.root / "summary.json"
        self.report = self.root / "report.html"
        self.log = self.root / "log.txt"

    def dictionary(self, name: str) -> Path:
        """The directory of one dictionary."""
        return self.dictionaries / name

    def training_state(self, site: str) -> Path:
        """States of the training at one site, from which it goes on after a kill; gone once it is done."""
        return self.training / site

    def quality(self, name: str) -> Path:
        """Quality and fidelity of one dictionary on held-out activations."""
        return self.dictionary(name) / "quality.json"

    def evidence_file(self, name: str) -> Path:
        """The evidence table of one dictionary."""
        return self.evidence / f"{name}.parquet"

    def is_run(self) -> bool:
        """Whether a run has begun here."""
        return self.manifest.is_file()


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    Raises ArtefactError when the disk is full or the directory cannot be written; the old file is untouched then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise ArtefactError(f"cannot write {path}: {reason}; free space or choose another --out") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_atomically(path, lambda temporary: _write(temporary, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
