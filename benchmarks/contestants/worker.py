"""A contestant's process: answers one JSON line per question on stdin, times its own steps.

Questions: {"ask": "step", "n": 2} -> CPU and wall seconds of each step; {"ask": "memory"} -> peak resident bytes so
far; {"ask": "quality"} -> error on held-out activations; {"ask": "codes", "path": P} -> held-out codes, saved at P.
Drawing a batch is not timed. Standard library and torch only; whatever a peer prints goes to stderr, so that stdout
holds nothing but answers.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import TextIO

import torch
from torch import Tensor

from benchmarks.contestants.contestant import Contestant
from benchmarks.workload import HELD_OUT_BATCH, Job, activations

EVALUATION_ROWS = 512


def main() -> None:
    """Answer questions until stdin ends. Arguments: the contestant's module, and the job as JSON."""
    # Before a peer is imported: some print while they are.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(1)
    job = Job(**json.loads(sys.argv[2]))
    module = import_module(f"benchmarks.contestants.{sys.argv[1]}")
    after_import = _peak_bytes()
    contestant: Contestant = module.build(job)
    found = version(module.DISTRIBUTION) if module.DISTRIBUTION else ""
    _say(answers, {"version": found, "torch": torch.__version__, "import_bytes": after_import})
    n_done = 0
    for line in sys.stdin:
        question = json.loads(line)
        if question["ask"] == "step":
            cpu, wall = [], []
            for _ in range(question["n"]):
                x = activations(job, n_done)
                _wait(job)
                cpu_start, wall_start = time.process_time(), time.perf_counter()
                contestant.step(x)
                _wait(job)
                cpu.append(time.process_time() - cpu_start)
                wall.append(time.perf_counter() - wall_start)
                n_done += 1
            _say(answers, {"cpu_s": cpu, "wall_s": wall})
        elif question["ask"] == "memory":
            on_gpu = torch.cuda.max_memory_allocated() if job.device != "cpu" else 0
            _say(answers, {"peak_bytes": _peak_bytes(), "gpu_bytes": on_gpu})
        elif question["ask"] == "quality":
            assert contestant.reconstruct is not None
            fvu = _fvu(contestant.reconstruct, activations(job, HELD_OUT_BATCH))
            _say(answers, {"fvu": fvu, "n_steps": n_done})
        elif question["ask"] == "codes":
            assert contestant.codes is not None
            torch.save(contestant.codes(activations(job, HELD_OUT_BATCH)[:EVALUATION_ROWS]), question["path"])
            _say(answers, {})


def _wait(job: Job) -> None:
    """Until the device has done what it was given."""
    if job.device != "cpu":
        torch.cuda.synchronize()


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@torch.no_grad()
def _fvu(reconstruct: Callable[[Tensor], Tensor], x: Tensor) -> float:
    error = sum(float((rows - reconstruct(rows)).square().sum()) for rows in x.split(EVALUATION_ROWS))
    return error / float((x - x.mean(dim=0)).square().sum())


def _say(answers: TextIO, answer: dict[str, object]) -> None:
    answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
