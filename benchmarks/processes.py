"""A contestant's process seen from outside: start it, ask it, end it. See contestants/worker.py for the questions."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.environments import REPOSITORY, python_of
from benchmarks.workload import Job

__all__ = ["ContestantProcess"]


class ContestantProcess:
    """One contestant on one job, pinned to one thread. `hello` is what it said first: versions and import memory."""

    def __init__(self, name: str, job: Job) -> None:
        self.name = name
        # A peer's second discipline runs in the peer's environment.
        interpreter = python_of(name.removeprefix("pursuit_"))
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        quiet = {"WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [
                str(interpreter),
                "-m",
                "benchmarks.contestants.worker",
                name,
                json.dumps(asdict(job)),
            ],
            cwd=REPOSITORY,
            env={**os.environ, **one_thread, **quiet, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.hello: dict[str, Any] = {}

    def wait_until_ready(self) -> None:
        """Wait for its `hello`. Start all contestants first, then wait for each. Raises RuntimeError when it died."""
        self.hello = self._answer()

    def ask(self, question: str, **details: object) -> dict[str, Any]:
        """Its answer. Raises RuntimeError, with the end of what it printed, when it died."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"ask": question, **details}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{self.name} died: {self._errors.read()[-2000:].replace(str(Path.home()), '~')}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
        self._errors.close()
