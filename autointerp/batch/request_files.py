"""Request lines in numbered files within the Batch API's limits."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from autointerp.errors import ConfigError
from autointerp.runs.layout import write_failure

__all__ = ["MAX_BYTES", "MAX_REQUESTS", "FileLimits", "RequestFile", "RequestWriter"]

MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000
"""OpenAI's limits for one batch."""


@dataclass(frozen=True, slots=True)
class FileLimits:
    """The most one file may hold."""

    n_requests: int = MAX_REQUESTS
    n_bytes: int = MAX_BYTES

    def __post_init__(self) -> None:
        for option, value, most in (
            ("--file-requests", self.n_requests, MAX_REQUESTS),
            ("--file-bytes", self.n_bytes, MAX_BYTES),
        ):
            if not 1 <= value <= most:
                raise ConfigError(f"{option} {value}: give a number from 1 to {most}, the most that one batch may hold")


@dataclass(frozen=True, slots=True)
class RequestFile:
    """One finished file; `bound_usd` is its highest cost, None if unknown."""

    name: str
    n_requests: int
    n_bytes: int
    sha256: str
    bound_usd: float | None


class RequestWriter:
    """Writes `requests-001.jsonl`, ... into a folder of its own; `files` is complete after `__exit__`."""

    def __init__(self, folder: Path, limits: FileLimits) -> None:
        self.folder, self._limits = folder, limits
        self.files: list[RequestFile] = []
        self._open: IO[bytes] | None = None
        self._n_requests = self._n_bytes = 0
        self._hash = hashlib.sha256()
        self._bound_usd: float | None = 0.0

    def __enter__(self) -> RequestWriter:
        try:
            if self.folder.exists():
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise write_failure(self.folder, error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        elif self._open is not None:
            self._open.close()

    def write(self, line: bytes, *, bound_usd: float | None) -> str:
        """Append a line, in the next file where the current one is full; returns the file's name.

        Raises ConfigError for a line longer than a file, ArtefactError for a full disk.
        """
        if len(line) > self._limits.n_bytes:
            raise ConfigError(f"--file-bytes {self._limits.n_bytes}: a request of {len(line)} bytes does not fit in")
        if self._n_requests == self._limits.n_requests or self._n_bytes + len(line) > self._limits.n_bytes:
            self._finish()
        try:
            if self._open is None:
                self._open = self._path.open("wb")
            self._open.write(line)
        except OSError as error:
            raise write_failure(self._path, error) from None
        self._n_requests += 1
        self._n_bytes += len(line)
        self._hash.update(line)
        self._bound_usd = None if bound_usd is None or self._bound_usd is None else self._bound_usd + bound_usd
        return self._path.name

    @property
    def _path(self) -> Path:
        return self.folder / f"requests-{len(self.files) + 1:03d}.jsonl"

    def _finish(self) -> None:
        if self._open is None:
            return
        path = self._path
        try:
            self._open.close()
        except OSError as error:
            raise write_failure(path, error) from None
        self.files.append(
            RequestFile(path.name, self._n_requests, self._n_bytes, self._hash.hexdigest(), self._bound_usd)
        )
        self._open, self._n_requests, self._n_bytes, self._bound_usd = None, 0, 0, 0.0
        self._hash = hashlib.sha256()
