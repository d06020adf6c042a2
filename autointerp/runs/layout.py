"""Paths of a run, and atomic writing: readers never see half a file."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from autointerp.errors import ArtefactError
from autointerp.runs.shards import Shard

__all__ = ["RunLayout", "write_atomically", "write_failure", "write_text"]

_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


class RunLayout:
    """Paths of one run. With `shard`, manifest, journal, log and progress lie below `shards/`; the rest is
    the run's."""

    def __init__(self, root: str | Path, *, shard: Shard | None = None) -> None:
        self.root = Path(root)
        self.shard = shard
        self.shards = self.root / "shards"
        own = self.root if shard is None else self.shards / shard.folder
        self.config = self.root / "config.toml"
        self.manifest = own / "manifest.json"
        self.dictionaries = self.root / "dictionaries"
        self.training = self.root / "training"
        self.activations = self.root / "activations"
        self.evidence = self.root / "evidence"
        self.probes = self.root / "probes"
        self.journal = own / "journal.sqlite"
        self.scores = self.root / "scores.parquet"
        self.summary = self.root / "summary.json"
        self.report = self.root / "report.html"
        self.log = own / "log.txt"
        self.progress = own / "progress.json"
        self.lock = own / "run.lock"
        self.batch = self.root / "batch"
        self.batch_state = self.batch / "state.json"
        self.batch_requests = self.batch / "requests.sqlite"

    def dictionary(self, name: str) -> Path:
        return self.dictionaries / name

    def training_state(self, site: str) -> Path:
        """Resumable training states of one site, deleted in the end."""
        return self.training / site

    def quality(self, name: str) -> Path:
        """Quality on held-out activations."""
        return self.dictionary(name) / "quality.json"

    def evidence_file(self, name: str) -> Path:
        return self.evidence / f"{name}.parquet"

    def remake(self, stage: str) -> str:
        """Command that remakes a stage; paid replies are reused."""
        if stage == "report":
            return f"`autointerp report {shlex.quote(str(self.root))}`"
        return f"`{self._run} --from {stage}`"

    def go_on(self) -> str:
        """Command that continues the run."""
        return f"`{self._run}`"

    @property
    def _run(self) -> str:
        shard = "" if self.shard is None else f" --shard {self.shard}"
        return f"autointerp run {shlex.quote(str(self.config))} --out {shlex.quote(str(self.root))}{shard}"

    def is_run(self) -> bool:
        return self.manifest.is_file()

    def find_shards(self) -> list[RunLayout]:
        """Shards begun here, damaged ones included, by count and number."""
        if not self.shards.is_dir():
            return []
        shards = sorted(shard for path in self.shards.iterdir() if (shard := Shard.of_folder(path.name)) is not None)
        layouts = [RunLayout(self.root, shard=shard) for shard in shards]
        return [layout for layout in layouts if any(map(os.path.lexists, (layout.manifest, layout.journal)))]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, then rename it to `path`.

    Raises ArtefactError when the disk is full or read-only; the old file stays.
    """
    # named by process: two writers must not share it
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise write_failure(path, error) from error
    finally:
        with suppress(OSError):  # a read-only file system refuses even this
            temporary.unlink(missing_ok=True)


def write_failure(path: Path, error: OSError) -> ArtefactError:
    fix = "make it writable" if error.errno in _FORBIDDEN else "free space"
    return ArtefactError(f"cannot write {path}: {error.strerror or error}; {fix} or choose another --out")


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: _write(temporary, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
